//! `--security-opt`, `--cap-add`, `--cap-drop`.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::environment::describe;

/// A seccomp profile larger than this is not one.
const MAX_PROFILE: u64 = 1 << 20;

/// All `--security-opt` together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    pub no_new_privileges: bool,
    pub seccomp: Seccomp,
    /// A profile's name; None: the host's default.
    pub apparmor: Option<String>,
    /// `systempaths=unconfined`: no masked and no read-only paths.
    pub unconfined_paths: bool,
    /// `writable-cgroups`.
    pub writable_cgroups: bool,
    /// SELinux labels, which only mean something where SELinux is enabled.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// The system call filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    #[default]
    Default,
    Unconfined,
    /// JSON text in Docker's profile format.
    Profile(String),
}

/// Folds one `--security-opt` into `security`. Profiles are read from files here.
pub fn option(security: &mut Security, text: &str) -> Result<(), String> {
    let (key, value) =
        text.split_once('=').or_else(|| text.split_once(':')).map_or((text, None), |(k, v)| (k, Some(v)));
    let wrong = || format!("invalid --security-opt 2: {text:?}");
    match (key, value) {
        ("no-new-privileges", value) => {
            security.no_new_privileges =
                super::mount_flag::boolean(value.unwrap_or("true")).ok_or_else(wrong)?;
        }
        ("writable-cgroups", value) => {
            security.writable_cgroups =
                super::mount_flag::boolean(value.unwrap_or("true")).ok_or_else(wrong)?;
        }
        ("seccomp", Some("unconfined")) => security.seccomp = Seccomp::Unconfined,
        ("seccomp", Some("builtin" | "default")) => security.seccomp = Seccomp::Default,
        ("seccomp", Some(path)) => security.seccomp = Seccomp::Profile(profile(Path::new(path))?),
        ("apparmor", Some(name)) if !name.is_empty() => security.apparmor = Some(name.to_owned()),
        ("systempaths", Some("unconfined")) => security.unconfined_paths = true,
        ("label", Some("disable")) => security.labels.clear(),
        ("label", Some(label)) if is_label(label) => security.labels.push(label.to_owned()),
        ("label", Some(label)) => return Err(format!("invalid SELinux label option: {label}")),
        _ => return Err(wrong()),
    }
    Ok(())
}

fn is_label(text: &str) -> bool {
    const KINDS: [&str; 5] = ["user", "role", "type", "level", "filetype"];
    text.split_once(':').is_some_and(|(kind, value)| KINDS.contains(&kind) && !value.is_empty())
        || text == "nested"
}

fn profile(path: &Path) -> Result<String, String> {
    let failed = |e: std::io::Error| {
        format!("opening seccomp profile ({0}) failed: open {0}: {1}", path.display(), describe(&e))
    };
    let mut text = String::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_PROFILE).read_to_string(&mut text).map_err(failed)?;
    serde_json::from_str::<serde_json::Value>(&text)
        .map_err(|e| format!("compacting json for seccomp profile ({}) failed: {e}", path.display()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("no-new-privileges", Security { no_new_privileges: true, ..Security::default() })]
    #[case("no-new-privileges:true", Security { no_new_privileges: true, ..Security::default() })]
    #[case("no-new-privileges=false", Security::default())]
    #[case("seccomp=unconfined", Security { seccomp: Seccomp::Unconfined, ..Security::default() })]
    #[case("seccomp:unconfined", Security { seccomp: Seccomp::Unconfined, ..Security::default() })]
    #[case("seccomp=builtin", Security::default())]
    #[case("apparmor=unconfined", Security { apparmor: Some("unconfined".to_owned()), ..Security::default() })]
    #[case("systempaths=unconfined", Security { unconfined_paths: true, ..Security::default() })]
    #[case("label=disable", Security::default())]
    #[case("label=type:spc_t", Security { labels: vec!["type:spc_t".to_owned()], ..Security::default() })]
    #[case("label:level:s0:c1", Security { labels: vec!["level:s0:c1".to_owned()], ..Security::default() })]
    #[case("writable-cgroups", Security { writable_cgroups: true, ..Security::default() })]
    fn good(#[case] text: &str, #[case] want: Security) {
        let mut security = Security::default();
        option(&mut security, text).unwrap();
        assert_eq!(security, want);
    }

    #[rstest]
    #[case("foo", "invalid --security-opt 2: \"foo\"")]
    #[case("no-new-privileges=maybe", "invalid --security-opt 2: \"no-new-privileges=maybe\"")]
    #[case("seccomp", "invalid --security-opt 2: \"seccomp\"")]
    #[case("label=x", "invalid SELinux label option: x")]
    #[case("systempaths=x", "invalid --security-opt 2: \"systempaths=x\"")]
    #[case(
        "seccomp=/nowhere/x.json",
        "opening seccomp profile (/nowhere/x.json) failed: open /nowhere/x.json: no such file or directory"
    )]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(option(&mut Security::default(), text), Err(want.to_owned()));
    }

    #[test]
    fn profile_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap();
        let mut security = Security::default();
        option(&mut security, &format!("seccomp={}", file.path().display())).unwrap();
        assert!(matches!(security.seccomp, Seccomp::Profile(text) if text.contains("ACT_ALLOW")));
        std::fs::write(file.path(), "no json").unwrap();
        assert!(option(&mut Security::default(), &format!("seccomp={}", file.path().display())).is_err());
    }
}
