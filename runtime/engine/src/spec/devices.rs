//! Device nodes beyond the standard ones, and the device rules of the cgroup.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType as Type};
use sandbox_container::defaults;

use crate::error::{Error, Result};
use crate::isolation::Isolation;
use crate::parse::device::Device;
use crate::parse::environment::describe;
use crate::request::Request;

/// Entries of the host's /dev that a privileged container does not get: they are mounts of its own.
const NOT_DEVICES: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts"];
/// A /dev with more nodes than this is taken for broken.
const MAX_NODES: usize = 4096;

/// The nodes to make, and the rules.
pub(super) fn build(request: &Request) -> Result<(Vec<LinuxDevice>, Vec<LinuxDeviceCgroup>)> {
    let mut nodes = Vec::new();
    if request.privileges.privileged {
        if request.isolation == Isolation::Process {
            scan(Path::new("/dev"), &mut nodes)?;
        }
        return Ok((nodes, defaults::privileged_device_rules()));
    }
    let mut rules = defaults::device_rules();
    for device in &request.devices {
        let found = crate::isolation::devices(request.isolation, device)?;
        let access = |node: &LinuxDevice| rule(node, &device.access);
        rules.extend(found.iter().map(access));
        nodes.extend(found);
    }
    rules.extend(request.device_rules.iter().map(|text| defaults::device_rule(true, text)));
    Ok((nodes, rules))
}

/// One device of the host, or all of a directory.
pub(crate) fn of_host(device: &Device) -> Result<Vec<LinuxDevice>> {
    let Device { host, container, .. } = device;
    let gather = |why: String| {
        Error::invalid(format!(
            "error gathering device information while adding custom device {host:?}: {why}"
        ))
    };
    let metadata = std::fs::metadata(host).map_err(|e| gather(describe(&e)))?;
    if metadata.is_dir() {
        let mut nodes = Vec::new();
        scan(Path::new(host), &mut nodes)?;
        for node in &mut nodes {
            if let Ok(rest) = node.path().strip_prefix(host) {
                let moved = Path::new(container).join(rest);
                node.set_path(moved);
            }
        }
        return Ok(nodes);
    }
    let node = node(Path::new(container), &metadata).ok_or_else(|| gather("not a device node".to_owned()))?;
    Ok(vec![node])
}

/// All nodes below `dir`, links not followed.
fn scan(dir: &Path, nodes: &mut Vec<LinuxDevice>) -> Result<()> {
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        let entries = std::fs::read_dir(&dir).map_err(Error::io("read directory", &dir))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("read directory", &dir))?;
            // A device may be unplugged while we look.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                if !NOT_DEVICES.iter().any(|name| entry.file_name() == *name) {
                    pending.push(entry.path());
                }
            } else if entry.file_name() != "console" {
                nodes.extend(node(&entry.path(), &metadata));
            }
            if nodes.len() > MAX_NODES {
                return Err(Error::invalid(format!(
                    "more than {MAX_NODES} device nodes below {}",
                    dir.display()
                )));
            }
        }
    }
    Ok(())
}

fn node(path: &Path, metadata: &std::fs::Metadata) -> Option<LinuxDevice> {
    let kind = metadata.file_type();
    let kind = if kind.is_char_device() {
        Type::C
    } else if kind.is_block_device() {
        Type::B
    } else {
        return None;
    };
    let mut node = LinuxDevice::default();
    node.set_path(path.to_owned());
    node.set_typ(kind);
    node.set_major(i64::from(libc::major(metadata.rdev())));
    node.set_minor(i64::from(libc::minor(metadata.rdev())));
    node.set_file_mode(Some(metadata.mode() & 0o7777));
    node.set_uid(Some(metadata.uid()));
    node.set_gid(Some(metadata.gid()));
    Some(node)
}

fn rule(node: &LinuxDevice, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true);
    rule.set_typ(Some(node.typ()));
    rule.set_major(Some(node.major()));
    rule.set_minor(Some(node.minor()));
    rule.set_access(Some(access.to_owned()));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(host: &str) -> Request {
        let device = Device { host: host.to_owned(), container: "/dev/x".to_owned(), access: "r".to_owned() };
        Request { devices: vec![device], ..Request::default() }
    }

    #[test]
    fn a_device_gets_a_node_and_a_rule() {
        let (nodes, rules) = build(&with("/dev/null")).unwrap();
        assert_eq!((nodes.len(), nodes[0].major(), nodes[0].minor(), nodes[0].typ()), (1, 1, 3, Type::C));
        assert_eq!(nodes[0].path(), Path::new("/dev/x"));
        let last = rules.last().unwrap();
        assert_eq!((last.allow(), last.access().as_deref()), (true, Some("r")));
        assert!(!rules[0].allow(), "everything is denied first");
    }

    #[test]
    fn a_rule_alone_makes_no_node() {
        let request = Request { device_rules: vec!["c 189:* rw".to_owned()], ..Request::default() };
        let (nodes, rules) = build(&request).unwrap();
        let last = rules.last().unwrap();
        assert!(nodes.is_empty() && last.allow());
        assert_eq!((last.typ(), last.major(), last.minor()), (Some(Type::C), Some(189), None));
        assert_eq!(last.access().as_deref(), Some("rw"));
    }

    #[test]
    fn a_vm_has_its_own_kernels_devices() {
        let request = Request { isolation: Isolation::Vm, ..with("/dev/fuse") };
        let (nodes, rules) = build(&request).unwrap();
        assert_eq!((nodes[0].major(), nodes[0].minor()), (10, 229));
        assert_eq!(rules.last().unwrap().minor(), Some(229));
        assert!(build(&Request { isolation: Isolation::Vm, ..with("/dev/sda") }).is_err());
    }

    #[test]
    fn what_is_no_device() {
        let text = build(&with("/dev/not-there")).unwrap_err().to_string();
        assert_eq!(
            text,
            "error gathering device information while adding custom device \"/dev/not-there\": \
             no such file or directory"
        );
        assert!(build(&with("/etc/passwd")).is_err());
    }

    #[test]
    fn privileged_has_the_hosts_devices_only_on_the_host() {
        let mut request = Request::default();
        request.privileges.privileged = true;
        let (nodes, rules) = build(&request).unwrap();
        assert!(nodes.iter().any(|n| n.path() == Path::new("/dev/null")));
        assert!(!nodes.iter().any(|n| n.path().starts_with("/dev/pts")));
        assert_eq!((rules.len(), rules[0].allow()), (1, true));
        request.isolation = Isolation::Vm;
        assert!(build(&request).unwrap().0.is_empty());
    }
}
