//! `--device HOST[:CONTAINER][:PERMISSIONS]`.

use serde::{Deserialize, Serialize};

use super::mount::clean_path;

/// One device of the host for the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub host: String,
    pub container: String,
    /// Of `rwm`.
    pub access: String,
}

/// One `--device`.
pub fn parse(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, second] if is_access(second) => (*host, *host, *second),
        [host, container] => (*host, *container, "rwm"),
        [host, container, access] => (*host, *container, *access),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if !is_access(access) {
        return Err(format!("invalid device mode: {access}"));
    }
    if !host.starts_with('/') || !container.starts_with('/') {
        let path = if host.starts_with('/') { container } else { host };
        return Err(format!("{path} is not an absolute path"));
    }
    Ok(Device { host: clean_path(host), container: clean_path(container), access: access.to_owned() })
}

/// One `--device-cgroup-rule`: `c 1:3 rwm`, with `*` for any number.
pub fn rule(text: &str) -> Result<String, String> {
    let number = |text: &str| text == "*" || text.parse::<u32>().is_ok();
    let good = match text.split(' ').collect::<Vec<_>>().as_slice() {
        ["a" | "b" | "c", numbers, access] => {
            is_access(access)
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
        }
        _ => false,
    };
    if good { Ok(text.to_owned()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

fn is_access(text: &str) -> bool {
    let once = |c| text.matches(c).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c)) && "rwm".chars().all(once)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm")]
    #[case("/dev/fuse:r", "/dev/fuse", "/dev/fuse", "r")]
    #[case("/dev/fuse:/dev/x", "/dev/fuse", "/dev/x", "rwm")]
    #[case("/dev/fuse:/dev/x:rw", "/dev/fuse", "/dev/x", "rw")]
    fn good(#[case] text: &str, #[case] host: &str, #[case] container: &str, #[case] access: &str) {
        let want =
            Device { host: host.to_owned(), container: container.to_owned(), access: access.to_owned() };
        assert_eq!(parse(text), Ok(want));
    }

    #[rstest]
    #[case("c 1:3 rwm", true)]
    #[case("a *:* r", true)]
    #[case("b 8:* mr", true)]
    #[case("x 1:3 rwm", false)]
    #[case("c 1:3", false)]
    #[case("c 1:3 rwx", false)]
    #[case("c 1 rwm", false)]
    #[case("c -1:3 r", false)]
    #[case("c  1:3 r", false)]
    fn rules(#[case] text: &str, #[case] good: bool) {
        assert_eq!(rule(text).is_ok(), good);
        if !good {
            assert_eq!(rule(text), Err(format!("invalid device cgroup format '{text}'")));
        }
    }

    #[rstest]
    #[case("fuse", "fuse is not an absolute path")]
    #[case("/dev/fuse:/dev/x:rx", "invalid device mode: rx")]
    #[case("/dev/fuse:/dev/x:rr", "invalid device mode: rr")]
    #[case("a:b:c:d", "invalid device specification: a:b:c:d")]
    #[case("/dev/fuse:x", "x is not an absolute path")]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(parse(text), Err(want.to_owned()));
    }
}
