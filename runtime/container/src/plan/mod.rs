//! What the parent derives from the spec before it clones: checked, parsed, with every descriptor opened that the
//! child cannot open itself.

pub(crate) mod mount;
pub(crate) mod mount_options;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod sysctl;

use oci_spec::runtime::Spec;

use crate::error::Error;

/// The longest id: it becomes a directory's name.
const MAX_ID: usize = 255;
/// More mounts than this are refused: each costs kernel memory.
const MAX_MOUNTS: usize = 10_000;

/// Refuses ids that could be anything else than one plain directory name.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-+".contains(&byte));
    if id.is_empty() || id.len() > MAX_ID || id.starts_with('.') || !plain {
        return Err(Error::spec(format!(
            "container id {id:?}: 1 to {MAX_ID} letters, digits and _.-+ are allowed, no leading dot"
        )));
    }
    Ok(())
}

/// Checks what no other part of the plan looks at.
pub(crate) fn check(spec: &Spec) -> Result<(), Error> {
    if spec.root().is_none() {
        return Err(Error::spec("root is missing"));
    }
    if spec.linux().is_none() {
        return Err(Error::spec("linux is missing: other platforms cannot be run"));
    }
    let mounts = spec.mounts().as_ref().map_or(0, Vec::len);
    if mounts > MAX_MOUNTS {
        return Err(Error::spec(format!("{mounts} mounts: at most {MAX_MOUNTS} are allowed")));
    }
    let linux = spec.linux().as_ref();
    if linux.and_then(|linux| linux.intel_rdt().as_ref()).is_some() {
        return Err(Error::Unavailable {
            feature: "linux.intelRdt".to_owned(),
            reason: "resctrl groups are not managed here; leave it out".to_owned(),
        });
    }
    if linux.and_then(|linux| linux.net_devices().as_ref()).is_some_and(|devices| !devices.is_empty()) {
        return Err(Error::Unavailable {
            feature: "linux.netDevices".to_owned(),
            reason: "network devices are moved by the caller; leave it out".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_names() {
        for id in ["a", "web_1.2-x+y", &"a".repeat(255)] {
            check_id(id).expect(id);
        }
        for id in ["", ".", "..", ".x", "a/b", "a b", "ä", "a\0b", &"a".repeat(256)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
