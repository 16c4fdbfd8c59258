//! The capabilities of the process.

use oci_spec::runtime::{Capability, LinuxCapabilities};
use sandbox_container::defaults;

use crate::error::{Error, Result};
use crate::request::Privileges;

/// The defaults with `--cap-drop` and `--cap-add` applied; `ALL` in either means all.
pub(super) fn build(privileges: &Privileges) -> Result<Vec<Capability>> {
    let add = Wanted::parse("CapAdd", &privileges.cap_add)?;
    let drop = Wanted::parse("CapDrop", &privileges.cap_drop)?;
    if privileges.privileged {
        return Ok(defaults::all_capabilities());
    }
    let mut kept = if add.all { defaults::all_capabilities() } else { defaults::capabilities() };
    kept.retain(|cap| (add.all || !drop.all) && !drop.named.contains(cap));
    if !add.all {
        let missing: Vec<_> = add.named.iter().copied().filter(|cap| !kept.contains(cap)).collect();
        kept.extend(missing);
    }
    Ok(kept)
}

/// One of the two lists.
struct Wanted {
    all: bool,
    named: Vec<Capability>,
}

impl Wanted {
    /// Names in either case, with or without `CAP_`; `ALL`.
    fn parse(flag: &str, list: &[String]) -> Result<Wanted> {
        let mut wanted = Wanted { all: false, named: Vec::new() };
        for text in list {
            let upper = text.to_ascii_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            // As in Docker, CAP_ALL is none.
            if upper == "ALL" {
                wanted.all = true;
                continue;
            }
            let unknown = || Error::invalid(format!("invalid {flag}: unknown capability: \"CAP_{name}\""));
            let cap: Capability = name.parse().map_err(|_| unknown())?;
            if !wanted.named.contains(&cap) {
                wanted.named.push(cap);
            }
        }
        Ok(wanted)
    }
}

/// Inheritable and ambient stay empty, so that a user who is not root gets them only through a file's own.
pub(super) fn sets(caps: &[Capability]) -> LinuxCapabilities {
    let set = || Some(caps.iter().copied().collect());
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(set());
    sets.set_effective(set());
    sets.set_permitted(set());
    sets.set_inheritable(Some(std::collections::HashSet::new()));
    sets.set_ambient(Some(std::collections::HashSet::new()));
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn got(privileged: bool, add: &[&str], drop: &[&str]) -> Result<Vec<String>> {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let privileges =
            Privileges { privileged, cap_add: own(add), cap_drop: own(drop), ..Privileges::default() };
        Ok(build(&privileges)?.iter().map(ToString::to_string).collect())
    }

    fn all() -> usize {
        defaults::all_capabilities().len()
    }

    #[test]
    fn defaults_are_the_fourteen() {
        assert_eq!(got(false, &[], &[]).unwrap().len(), 14);
        assert_eq!(got(true, &[], &["ALL"]).unwrap().len(), all(), "privileged goes before drops");
    }

    #[rstest]
    #[case(&["SYS_ADMIN"], &["ALL"], &["SYS_ADMIN"])]
    #[case(&["cap_net_admin", "CAP_CHOWN"], &["ALL"], &["NET_ADMIN", "CHOWN"])]
    #[case(&[], &["ALL"], &[])]
    fn tweaks(#[case] add: &[&str], #[case] drop: &[&str], #[case] want: &[&str]) {
        assert_eq!(got(false, add, drop).unwrap(), want);
    }

    #[test]
    fn single_changes() {
        let caps = got(false, &["SYS_TIME"], &["MKNOD", "cap_kill"]).unwrap();
        assert!(caps.contains(&"SYS_TIME".to_owned()));
        assert!(!caps.contains(&"MKNOD".to_owned()) && !caps.contains(&"KILL".to_owned()));
        assert_eq!(caps.len(), 13);
        let caps = got(false, &["ALL"], &["SYS_ADMIN"]).unwrap();
        assert_eq!(caps.len(), all() - 1);
        assert_eq!(got(false, &["CHOWN"], &["CHOWN"]).unwrap().len(), 14, "an add wins, as in Docker");
    }

    /// moby's TweakCapabilities, case by case.
    #[rstest]
    #[case(&["ALL"], &["ALL"], None)]
    #[case(&["all"], &[], None)]
    #[case(&["ALL", "CHOWN"], &[], None)]
    #[case(&["CHOWN", "CHOWN"], &["ALL"], Some(1))]
    #[case(&["CHOWN"], &["ALL", "CHOWN"], Some(1))]
    #[case(&[], &["CHOWN", "cap_chown"], Some(13))]
    #[case(&["NET_ADMIN"], &["NET_ADMIN"], Some(15))]
    fn edges(#[case] add: &[&str], #[case] drop: &[&str], #[case] want: Option<usize>) {
        assert_eq!(got(false, add, drop).unwrap().len(), want.unwrap_or_else(all));
    }

    #[test]
    fn unknown_names() {
        assert!(got(false, &["CAP_ALL"], &[]).unwrap_err().to_string().ends_with("\"CAP_ALL\""));
        assert_eq!(
            got(false, &["foo"], &[]).unwrap_err().to_string(),
            "invalid CapAdd: unknown capability: \"CAP_FOO\""
        );
        assert_eq!(
            got(false, &[], &["CAP_BAR"]).unwrap_err().to_string(),
            "invalid CapDrop: unknown capability: \"CAP_BAR\""
        );
    }
}
