//! `--log-driver` and `--log-opt`: which there are, and Docker's words for those there are not.

use std::collections::BTreeMap;

use super::size::{self, Kilo};
use super::{attributes, file, remote, tag};

/// What a container without `--log-driver` gets.
pub const DEFAULT_DRIVER: &str = "json-file";
/// All drivers.
pub const DRIVERS: [&str; 5] = ["json-file", "local", "none", "journald", "syslog"];

/// For every driver: how a daemon's queue is bounded.
const GENERAL: [&str; 2] = ["mode", "max-buffer-size"];
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];
const ROTATION: [&str; 3] = ["max-size", "max-file", "compress"];
const SYSLOG: [&str; 3] = ["syslog-address", "syslog-facility", "syslog-format"];
/// Docker's for a buffer, 1 MiB.
const BUFFER: u64 = 1 << 20;
/// A driver may hold this much memory at most, whatever the option says.
const BUFFER_MAX: u64 = 1 << 30;

/// `--log-opt`, by name.
pub(super) type Options = BTreeMap<String, String>;

/// Whether a container may be logged like that. Looks at nothing but the texts and the paths of sockets in them.
///
/// # Errors
/// Docker's text.
pub fn validate(driver: &str, options: &BTreeMap<String, String>) -> Result<(), String> {
    if driver == "none" {
        return Ok(());
    }
    buffer(options)?;
    if !DRIVERS.contains(&driver) {
        return Err(format!("logger: no log driver named '{driver}' is registered"));
    }
    for name in options.keys().map(String::as_str).filter(|name| !GENERAL.contains(name)) {
        let known = match driver {
            "json-file" => ROTATION.contains(&name) || ATTRIBUTES.contains(&name),
            "local" => ROTATION.contains(&name),
            "syslog" => SYSLOG.contains(&name) || ATTRIBUTES.contains(&name),
            _ => ATTRIBUTES.contains(&name),
        };
        if !known {
            let whose =
                if driver == "local" { "log driver local".into() } else { format!("{driver} log driver") };
            return Err(format!("unknown log opt '{name}' for {whose}"));
        }
    }
    match driver {
        "json-file" | "local" => drop(file::Rotation::parse(driver, options)?),
        "syslog" => drop(remote::SyslogOptions::parse(options)?),
        _ => {}
    }
    attributes::validate(options)?;
    tag::validate(options)
}

/// Whether what the driver writes can be read back.
pub fn readable(driver: &str) -> bool {
    matches!(driver, "json-file" | "local")
}

/// Host and port of a `syslog-address` that needs the network: the engine finds its addresses for the plan.
pub fn network_address(driver: &str, options: &BTreeMap<String, String>) -> Option<(String, u16)> {
    if driver != "syslog" {
        return None;
    }
    remote::SyslogOptions::parse(options).ok()?.address.network()
}

/// Bytes of messages that may wait for a daemon.
pub(super) fn buffer(options: &Options) -> Result<u64, String> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(format!("logger: logging mode not supported: {mode}"));
    }
    match options.get("max-buffer-size") {
        None => Ok(BUFFER),
        Some(_) if mode != "non-blocking" => {
            Err("logger: max-buffer-size option is only supported with 'mode=non-blocking'".to_owned())
        }
        Some(text) => {
            let bytes = size::bytes(text, Kilo::Binary)
                .map_err(|error| format!("error parsing option max-buffer-size: {error}"))?;
            Ok(bytes.min(BUFFER_MAX))
        }
    }
}

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// Go's `strconv.Atoi`.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[rstest]
    #[case("json-file", &[])]
    #[case("json-file", &[("max-size", "10m"), ("max-file", "3"), ("compress", "true"), ("tag", "{{.Name}}/{{.ID}}")])]
    #[case("json-file", &[("labels", "a,b"), ("env-regex", "^(os|customer)"), ("mode", "non-blocking"), ("max-buffer-size", "4m")])]
    #[case("local", &[("max-size", "1m"), ("compress", "false"), ("max-file", "1")])]
    #[case("none", &[("anything", "goes")])]
    #[case("journald", &[("tag", ""), ("labels-regex", "^x")])]
    #[case("syslog", &[("syslog-address", "udp://1.2.3.4:1111"), ("syslog-facility", "23"), ("syslog-format", "rfc5424micro")])]
    fn good(#[case] driver: &str, #[case] pairs: &[(&str, &str)]) {
        assert_eq!(validate(driver, &options(pairs)), Ok(()));
    }

    #[rstest]
    #[case("x", &[], "logger: no log driver named 'x' is registered")]
    #[case("", &[], "logger: no log driver named '' is registered")]
    #[case("json-file", &[("x", "1")], "unknown log opt 'x' for json-file log driver")]
    #[case("local", &[("tag", "1")], "unknown log opt 'tag' for log driver local")]
    #[case("journald", &[("max-size", "1")], "unknown log opt 'max-size' for journald log driver")]
    #[case("syslog", &[("max-size", "1")], "unknown log opt 'max-size' for syslog log driver")]
    #[case("json-file", &[("max-size", "ten")], "invalid size: 'ten'")]
    #[case("json-file", &[("max-size", "0")], "max-size must be a positive number")]
    #[case("json-file", &[("max-file", "x")], "strconv.Atoi: parsing \"x\": invalid syntax")]
    #[case("json-file", &[("max-file", "0")], "max-file cannot be less than 1")]
    #[case("json-file", &[("compress", "maybe")], "strconv.ParseBool: parsing \"maybe\": invalid syntax")]
    #[case("json-file", &[("compress", "true")], "compress cannot be true when max-file is less than 2 or max-size is not set")]
    #[case("local", &[("max-size", "x1x")], "invalid value for max-size: x1x: strconv.ParseFloat: parsing \"x1\": invalid syntax")]
    #[case("local", &[("max-file", "1")], "compression cannot be enabled when max file count is 1")]
    #[case("json-file", &[("mode", "fast")], "logger: logging mode not supported: fast")]
    #[case("json-file", &[("max-buffer-size", "1m")], "logger: max-buffer-size option is only supported with 'mode=non-blocking'")]
    #[case("json-file", &[("mode", "non-blocking"), ("max-buffer-size", "m")], "error parsing option max-buffer-size: invalid size: 'm'")]
    #[case("syslog", &[("syslog-address", "ftp://x")], "unsupported scheme: 'ftp'")]
    #[case("syslog", &[("syslog-address", "unix:///no/such/socket")], "stat /no/such/socket: no such file or directory")]
    #[case("syslog", &[("syslog-facility", "local8")], "invalid syslog facility")]
    #[case("syslog", &[("syslog-facility", "24")], "invalid syslog facility")]
    #[case("syslog", &[("syslog-format", "rfc1")], "invalid syslog format")]
    fn bad(#[case] driver: &str, #[case] pairs: &[(&str, &str)], #[case] want: &str) {
        assert_eq!(validate(driver, &options(pairs)).unwrap_err(), want);
    }

    #[test]
    fn broken_patterns_and_tags() {
        assert!(
            validate("json-file", &options(&[("labels-regex", "(")]))
                .unwrap_err()
                .starts_with("error parsing regexp: ")
        );
        assert!(validate("json-file", &options(&[("tag", "{{.ID")])).unwrap_err().starts_with("template: "));
    }

    #[test]
    fn the_engine_resolves_only_what_the_network_needs() {
        let address = |text: &str| network_address("syslog", &options(&[("syslog-address", text)]));
        assert_eq!(address("tcp://logs.example:601"), Some(("logs.example".to_owned(), 601)));
        assert_eq!(address("udp://logs.example"), Some(("logs.example".to_owned(), 514)));
        assert_eq!(address("udp://[::1]"), Some(("::1".to_owned(), 514)));
        assert_eq!(address(""), None);
        assert_eq!(network_address("json-file", &Options::new()), None);
    }
}
