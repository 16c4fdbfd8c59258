//! `--pid`, `--ipc`, `--uts`, `--cgroupns` and `--userns`: whose namespaces a container lives in.

use serde::{Deserialize, Serialize};

/// All five together. The user namespace is always the host's: ids are not mapped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    pub pid: Pid,
    pub ipc: Ipc,
    pub uts: Scope,
    pub cgroup: Scope,
}

/// A namespace that is the container's own, or the host's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    #[default]
    Private,
    Host,
}

/// `--pid`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pid {
    #[default]
    Private,
    Host,
    /// That of another container, as the user named it.
    Container(String),
}

/// `--ipc`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ipc {
    #[default]
    Private,
    /// Its own, and others may join it.
    Shareable,
    /// Its own, without /dev/shm.
    None,
    Host,
    Container(String),
}

impl Ipc {
    /// Whether another container may join it: what it shares already it cannot keep to itself.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Ipc::Shareable | Ipc::Host | Ipc::Container(_))
    }
}

/// Docker's CLI says no more than this.
pub fn pid(text: &str) -> Result<Pid, String> {
    match (text, other(text)) {
        ("" | "private", _) => Ok(Pid::Private),
        ("host", _) => Ok(Pid::Host),
        (_, Some(name)) => Ok(Pid::Container(name)),
        _ => Err("--pid: invalid PID mode".to_owned()),
    }
}

pub fn ipc(text: &str) -> Result<Ipc, String> {
    match (text, other(text)) {
        ("" | "private", _) => Ok(Ipc::Private),
        ("shareable", _) => Ok(Ipc::Shareable),
        ("none", _) => Ok(Ipc::None),
        ("host", _) => Ok(Ipc::Host),
        (_, Some(name)) => Ok(Ipc::Container(name)),
        _ => Err(format!("invalid IPC mode: {text}")),
    }
}

pub fn uts(text: &str) -> Result<Scope, String> {
    scope(text).ok_or_else(|| "--uts: invalid UTS mode".to_owned())
}

pub fn cgroup(text: &str) -> Result<Scope, String> {
    scope(text).ok_or_else(|| "--cgroupns: invalid CGROUP mode".to_owned())
}

/// `--userns`: Docker's only value is what is done anyway.
pub fn user(text: &str) -> Result<(), String> {
    if matches!(text, "" | "host") { Ok(()) } else { Err("--userns: invalid USER mode".to_owned()) }
}

fn scope(text: &str) -> Option<Scope> {
    match text {
        "" | "private" => Some(Scope::Private),
        "host" => Some(Scope::Host),
        _ => None,
    }
}

fn other(text: &str) -> Option<String> {
    text.strip_prefix("container:").filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", Ok(Pid::Private))]
    #[case("private", Ok(Pid::Private))]
    #[case("host", Ok(Pid::Host))]
    #[case("container:web", Ok(Pid::Container("web".to_owned())))]
    #[case("container:", Err("--pid: invalid PID mode"))]
    #[case("Host", Err("--pid: invalid PID mode"))]
    fn pids(#[case] text: &str, #[case] want: Result<Pid, &str>) {
        assert_eq!(pid(text), want.map_err(str::to_owned));
    }

    #[rstest]
    #[case("", Ok(Ipc::Private))]
    #[case("private", Ok(Ipc::Private))]
    #[case("shareable", Ok(Ipc::Shareable))]
    #[case("none", Ok(Ipc::None))]
    #[case("host", Ok(Ipc::Host))]
    #[case("container:web", Ok(Ipc::Container("web".to_owned())))]
    #[case("container:", Err("invalid IPC mode: container:"))]
    #[case("x", Err("invalid IPC mode: x"))]
    fn ipcs(#[case] text: &str, #[case] want: Result<Ipc, &str>) {
        assert_eq!(ipc(text), want.map_err(str::to_owned));
    }

    #[test]
    fn the_others() {
        assert_eq!((uts(""), cgroup("host")), (Ok(Scope::Private), Ok(Scope::Host)));
        assert_eq!(uts("container:x"), Err("--uts: invalid UTS mode".to_owned()));
        assert_eq!(cgroup("x"), Err("--cgroupns: invalid CGROUP mode".to_owned()));
        assert_eq!((user(""), user("host")), (Ok(()), Ok(())));
        assert_eq!(user("remap"), Err("--userns: invalid USER mode".to_owned()));
    }
}
