//! `--device` in a VM: the container's kernel is the guest's, so a device is one of the guest's drivers, found by its
//! name. The numbers are those that Linux has assigned (Documentation/admin-guide/devices.txt) to what
//! kernel-config builds in; a device of the host, which no driver of the guest stands for, is refused.

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType as Type};

use crate::error::{Error, Result};
use crate::parse::device::Device;

/// Path, major and minor number, permissions.
const CHARACTER: [(&str, i64, i64, u32); 12] = [
    ("/dev/null", 1, 3, 0o666),
    ("/dev/zero", 1, 5, 0o666),
    ("/dev/full", 1, 7, 0o666),
    ("/dev/random", 1, 8, 0o666),
    ("/dev/urandom", 1, 9, 0o666),
    ("/dev/kmsg", 1, 11, 0o600),
    ("/dev/tty", 5, 0, 0o666),
    ("/dev/userfaultfd", 10, 126, 0o600),
    ("/dev/hwrng", 10, 183, 0o600),
    ("/dev/net/tun", 10, 200, 0o666),
    ("/dev/fuse", 10, 229, 0o666),
    ("/dev/loop-control", 10, 237, 0o660),
];
/// Major number of /dev/loopN, of which the guest has as many as are asked for.
const LOOP: i64 = 7;

/// The node that the guest's kernel has under this name.
pub(super) fn find(device: &Device) -> Result<LinuxDevice> {
    let host = device.host.as_str();
    let (kind, major, minor, mode) = match CHARACTER.iter().find(|(path, ..)| *path == host) {
        Some(&(_, major, minor, mode)) => (Type::C, major, minor, mode),
        None => match host.strip_prefix("/dev/loop").and_then(|number| number.parse::<u8>().ok()) {
            Some(number) => (Type::B, LOOP, i64::from(number), 0o660),
            None => return Err(refusal(host)),
        },
    };
    let mut node = LinuxDevice::default();
    node.set_path(device.container.clone().into());
    node.set_typ(kind);
    node.set_major(major);
    node.set_minor(minor);
    node.set_file_mode(Some(mode));
    Ok(node)
}

fn refusal(host: &str) -> Error {
    if host == "/dev/kvm" {
        return Error::invalid(
            "--device /dev/kvm: the guest's kernel is built without KVM, a VM has no nested ones; \
             use --isolation=process",
        );
    }
    Error::invalid(format!(
        "--device {host}: a device of the host cannot be in a VM, and the guest's kernel has none of that name; \
         use --isolation=process"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::device::parse;
    use rstest::rstest;

    #[rstest]
    #[case("/dev/fuse", Type::C, 10, 229)]
    #[case("/dev/net/tun", Type::C, 10, 200)]
    #[case("/dev/null:/dev/nothing:r", Type::C, 1, 3)]
    #[case("/dev/loop7", Type::B, 7, 7)]
    fn the_guests_own(#[case] flag: &str, #[case] kind: Type, #[case] major: i64, #[case] minor: i64) {
        let device = parse(flag).unwrap();
        let node = find(&device).unwrap();
        assert_eq!((node.typ(), node.major(), node.minor()), (kind, major, minor));
        assert_eq!(node.path().to_str(), Some(device.container.as_str()));
    }

    #[rstest]
    #[case("/dev/kvm", "--device /dev/kvm: the guest's kernel is built without KVM")]
    #[case("/dev/sda", "--device /dev/sda: a device of the host cannot be in a VM")]
    #[case("/dev/loop256", "--device /dev/loop256: a device of the host")]
    #[case("/dev", "--device /dev: a device of the host")]
    fn of_the_host(#[case] flag: &str, #[case] want: &str) {
        let text = find(&parse(flag).unwrap()).unwrap_err().to_string();
        assert!(text.starts_with(want), "{text}");
    }
}
