//! `--restart`: `no`, `always`, `unless-stopped`, `on-failure[:N]`.

use sandbox_shim::plan::Restart;

/// # Errors
/// Docker's texts.
pub fn parse(text: &str) -> Result<Restart, String> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    if name.is_empty() && count.is_some() {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let max = match count {
        None => 0,
        Some(count) => count.parse().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    let policy = match name {
        "" | "no" => Restart::No,
        "always" => Restart::Always,
        "unless-stopped" => Restart::UnlessStopped,
        "on-failure" => return Ok(Restart::OnFailure { max }),
        other => {
            return Err(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or \
                 'unless-stopped'"
            ));
        }
    };
    if max > 0 {
        return Err(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'".to_owned()
        );
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", Restart::No)]
    #[case("no", Restart::No)]
    #[case("always", Restart::Always)]
    #[case("unless-stopped", Restart::UnlessStopped)]
    #[case("on-failure", Restart::OnFailure { max: 0 })]
    #[case("on-failure:5", Restart::OnFailure { max: 5 })]
    fn good(#[case] text: &str, #[case] want: Restart) {
        assert_eq!(parse(text), Ok(want));
    }

    #[rstest]
    #[case("sometimes", "unknown policy 'sometimes'")]
    #[case("on-failure:x", "must be an integer")]
    #[case("on-failure:-1", "must be an integer")]
    #[case("always:3", "can only be used with 'on-failure'")]
    #[case(":3", "no policy provided before colon")]
    fn bad(#[case] text: &str, #[case] want: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}
