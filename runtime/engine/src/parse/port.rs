//! `--expose PORT[-PORT][/PROTOCOL]`.

/// The ports of one `--expose`, each as images name them: `80/tcp`. There are at most 65536.
pub fn expose(text: &str) -> Result<Vec<String>, String> {
    if text.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let wrong =
        |why: &str| format!("invalid range format for --expose: {text}, error: invalid port range: {why}");
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong(&format!("unknown protocol {protocol:?}")));
    }
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong(&format!("{text:?} is not a port")));
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(range)?, number(range)?),
    };
    if last < first {
        return Err(wrong("it ends before it begins"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("80", &["80/tcp"])]
    #[case("53/UDP", &["53/udp"])]
    #[case("7000-7002/sctp", &["7000/sctp", "7001/sctp", "7002/sctp"])]
    fn good(#[case] text: &str, #[case] want: &[&str]) {
        assert_eq!(expose(text).unwrap(), want);
    }

    #[rstest]
    #[case("80:80", "invalid port format for --expose: 80:80")]
    #[case("x", "invalid range format for --expose: x, error: invalid port range: \"x\" is not a port")]
    #[case("", "invalid range format for --expose: , error: invalid port range: \"\" is not a port")]
    #[case(
        "9-8",
        "invalid range format for --expose: 9-8, error: invalid port range: it ends before it begins"
    )]
    #[case(
        "1/icmp",
        "invalid range format for --expose: 1/icmp, error: invalid port range: unknown protocol \"icmp\""
    )]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(expose(text).unwrap_err(), want);
    }
}
