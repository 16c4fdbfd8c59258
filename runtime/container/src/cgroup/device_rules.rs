//! Device rules of the spec brought into one form: a default and exceptions from it, as the devices
//! controller of cgroup v1 understood them (kernel: `Documentation/admin-guide/cgroup-v1/devices.rst`).

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::Error;

pub(super) const ACCESS_MKNOD: u32 = 1;
pub(super) const ACCESS_READ: u32 = 2;
pub(super) const ACCESS_WRITE: u32 = 4;
pub(super) const ACCESS_ALL: u32 = 7;

/// BPF_DEVCG_DEV_BLOCK and BPF_DEVCG_DEV_CHAR.
pub(super) const TYPE_BLOCK: u32 = 1;
pub(super) const TYPE_CHAR: u32 = 2;

/// Devices that differ from the default. `None` is every number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) kind: u32,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    pub(super) access: u32,
}

/// A whole rule set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceRules {
    pub(super) allow_by_default: bool,
    pub(super) exceptions: Vec<Exception>,
}

impl DeviceRules {
    /// Reads the rules in order. What is not mentioned is denied.
    pub(super) fn parse(rules: &[LinuxDeviceCgroup]) -> Result<Self, Error> {
        let mut parsed = DeviceRules { allow_by_default: false, exceptions: Vec::new() };
        for rule in rules {
            parsed.add(rule)?;
        }
        Ok(parsed)
    }

    pub(super) fn allows_everything(&self) -> bool {
        self.allow_by_default && self.exceptions.is_empty()
    }

    fn add(&mut self, rule: &LinuxDeviceCgroup) -> Result<(), Error> {
        let access = access(rule)?;
        let (major, minor) = (number(rule.major())?, number(rule.minor())?);
        let kinds: &[u32] = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A if major.is_none() && minor.is_none() => {
                // A rule for everything replaces all rules before it.
                self.allow_by_default = rule.allow();
                self.exceptions.clear();
                return Ok(());
            }
            LinuxDeviceType::A => &[TYPE_BLOCK, TYPE_CHAR],
            LinuxDeviceType::B => &[TYPE_BLOCK],
            LinuxDeviceType::C | LinuxDeviceType::U => &[TYPE_CHAR],
            LinuxDeviceType::P => {
                return Err(Error::spec("device rule for a FIFO: FIFOs are not controlled"));
            }
        };
        for &kind in kinds {
            let exception = Exception { kind, major, minor, access };
            if rule.allow() == self.allow_by_default {
                self.take_back(&exception);
            } else {
                self.merge(exception);
            }
        }
        Ok(())
    }

    fn merge(&mut self, new: Exception) {
        match self.exceptions.iter_mut().find(|old| old.same_devices(&new)) {
            Some(old) => old.access |= new.access,
            None => self.exceptions.push(new),
        }
    }

    fn take_back(&mut self, new: &Exception) {
        for old in self.exceptions.iter_mut().filter(|old| old.same_devices(new)) {
            old.access &= !new.access;
        }
        self.exceptions.retain(|exception| exception.access != 0);
    }
}

impl Exception {
    fn same_devices(&self, other: &Exception) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }
}

fn access(rule: &LinuxDeviceCgroup) -> Result<u32, Error> {
    let text = rule.access().as_deref().unwrap_or("rwm");
    let access = text.chars().try_fold(0, |all, letter| match letter {
        'r' => Ok(all | ACCESS_READ),
        'w' => Ok(all | ACCESS_WRITE),
        'm' => Ok(all | ACCESS_MKNOD),
        other => Err(Error::spec(format!("device rule \"{rule}\": access '{other}' is none of r, w, m"))),
    })?;
    Ok(if access == 0 { ACCESS_ALL } else { access })
}

/// -1 and nothing are every number.
fn number(value: Option<i64>) -> Result<Option<u32>, Error> {
    match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| Error::spec(format!("device number {value} is out of range"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, text: &str) -> LinuxDeviceCgroup {
        crate::defaults::device_rule(allow, text)
    }

    #[test]
    fn rules_in_order() {
        let parse = |rules: &[LinuxDeviceCgroup]| DeviceRules::parse(rules).expect("fine");
        let null = |access| Exception { kind: TYPE_CHAR, major: Some(1), minor: Some(3), access };
        let rules = parse(&[rule(false, "a *:* rwm"), rule(true, "c 1:3 r"), rule(true, "c 1:3 w")]);
        assert_eq!(
            rules,
            DeviceRules { allow_by_default: false, exceptions: vec![null(ACCESS_READ | ACCESS_WRITE)] }
        );
        let rules = parse(&[rule(true, "c 1:3 rwm"), rule(false, "c 1:3 m")]);
        assert_eq!(rules.exceptions, [null(ACCESS_READ | ACCESS_WRITE)]);
        assert!(parse(&[rule(true, "c 1:3 rwm"), rule(false, "c 1:3 rwm")]).exceptions.is_empty());
        let rules = parse(&[rule(true, "c 1:3 rwm"), rule(true, "a *:* rwm")]);
        assert!(rules.allows_everything());
        let rules = parse(&[rule(true, "a *:* rwm"), rule(false, "c 1:3 w")]);
        assert_eq!((rules.allow_by_default, rules.exceptions), (true, vec![null(ACCESS_WRITE)]));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["c 1:3 x", "c -2:3 r", "c 99999999999:3 r"] {
            assert!(DeviceRules::parse(&[rule(true, text)]).is_err(), "{text}");
        }
    }
}
