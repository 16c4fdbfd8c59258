//! Asks a busybox for its applets and its version.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// What a busybox says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busybox {
    /// Applet names, sorted, without duplicates.
    pub(crate) applets: Vec<String>,
    /// Such as `1.35.0`.
    pub(crate) version: String,
}

/// Runs `busybox --list` and reads the banner for the version.
///
/// # Errors
/// It cannot be run or answers with something else.
pub(crate) fn ask(path: &Path) -> Result<Busybox> {
    let fail = |reason: String| Error::Applets { path: path.to_owned(), reason };
    let run = |argument: &str| {
        let output = Command::new(path)
            .arg(argument)
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .map_err(|error| fail(format!("cannot run it: {error}")))?;
        if !output.status.success() {
            return Err(fail(format!("`busybox {argument}` ended with {}", output.status)));
        }
        String::from_utf8(output.stdout).map_err(|_| fail("its answer is not text".into()))
    };
    let applets = parse_applets(&run("--list")?).map_err(fail)?;
    let version = parse_version(&run("--help")?).ok_or_else(|| fail("its banner names no version".into()))?;
    Ok(Busybox { applets, version })
}

fn parse_applets(list: &str) -> std::result::Result<Vec<String>, String> {
    let mut applets: Vec<String> = list.lines().filter(|line| !line.is_empty()).map(String::from).collect();
    applets.sort();
    applets.dedup();
    if let Some(bad) = applets.iter().find(|name| name.contains('/') || name.starts_with('.')) {
        return Err(format!("{bad:?} is not an applet's name"));
    }
    if !applets.iter().any(|name| name == "sh") {
        return Err("it has no `sh`".into());
    }
    Ok(applets)
}

fn parse_version(banner: &str) -> Option<String> {
    let version = banner.strip_prefix("BusyBox v")?.split_whitespace().next()?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_are_sorted_and_unique() {
        assert_eq!(parse_applets("sh\n[\nls\nsh\n").unwrap(), ["[", "ls", "sh"]);
    }

    #[test]
    fn refuses_names_that_leave_the_directory_and_a_list_without_shell() {
        assert!(parse_applets("sh\n../x\n").is_err());
        assert!(parse_applets("sh\n..\n").is_err());
        assert!(parse_applets("ls\n").is_err());
    }

    #[test]
    fn version_comes_from_the_banner() {
        assert_eq!(parse_version("BusyBox v1.35.0 (Debian 1:1.35.0-4) multi-call"), Some("1.35.0".into()));
        assert_eq!(parse_version("toybox 0.8"), None);
    }
}
