//! The bounds of a machine.

use std::collections::HashSet;
use std::path::Path;

use super::VmConfig;
use crate::arch::mptable;

/// Below this the guest kernel does not reach its first process.
const MIN_MEMORY_MIB: u64 = 32;
/// The guest kernel's CONFIG_NR_CPUS: it ignores further ones.
const MAX_VCPUS: u8 = 64;
const _: () = assert!(MAX_VCPUS <= mptable::MAX_CPUS);
/// virtio 1.2, section 5.11.4.
const MAX_TAG: usize = 36;
/// The guest's context id: 0 to 2 are reserved (vsock(7)).
const MIN_CID: u32 = 3;
/// virtio 1.2, section 5.2.6, VIRTIO_BLK_T_GET_ID.
const MAX_SERIAL: usize = 20;
/// IFNAMSIZ without the NUL.
const MAX_INTERFACE_NAME: usize = 15;

/// A configuration that no machine can be built from.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error("{asked} MiB of memory are too little for a microVM; ask for at least {MIN_MEMORY_MIB} MiB")]
    TooLittleMemory { asked: u64 },
    #[error("{asked} MiB of memory are more than this host has ({host} MiB); ask for less")]
    TooMuchMemory { asked: u64, host: u64 },
    #[error("{asked} vCPUs are not possible; ask for 1 to {MAX_VCPUS}")]
    Vcpus { asked: u8 },
    #[error("virtio-fs tag {tag:?} is not 1 to {MAX_TAG} letters, digits, dots, dashes or underscores")]
    Tag { tag: String },
    #[error("virtio-fs tag {tag:?} is used twice; tags are unique in a machine")]
    TagTwice { tag: String },
    #[error("{what} {path:?} is not an absolute path")]
    RelativePath { what: &'static str, path: String },
    #[error("vsock context id {cid} is reserved; use {MIN_CID} to {max}", max = u32::MAX - 1)]
    Cid { cid: u32 },
    #[error("{name:?} is not the name of a network interface")]
    Interface { name: String },
    #[error("{mac:02x?} is not the address of one network interface: use a unicast address")]
    Mac { mac: [u8; 6] },
    #[error("serial number {serial:?} of a block device is longer than {MAX_SERIAL} bytes")]
    Serial { serial: String },
    #[error("a jailed machine cannot run as root; give it a user of its own")]
    Root,
}

impl VmConfig {
    /// Checks all bounds that can be checked without opening anything.
    ///
    /// # Errors
    /// The first bound that does not hold, with a remedy.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.validate_size(host_memory_mib())?;
        for (what, path) in [("kernel", &self.kernel), ("initramfs", &self.initramfs)] {
            absolute(what, path)?;
        }
        let mut tags = HashSet::new();
        for fs in &self.fs {
            valid_tag(&fs.tag)?;
            if !tags.insert(&fs.tag) {
                return Err(Invalid::TagTwice { tag: fs.tag.clone() });
            }
            absolute("shared directory", &fs.path)?;
        }
        if let Some(vsock) = &self.vsock {
            if !(MIN_CID..u32::MAX).contains(&vsock.cid) {
                return Err(Invalid::Cid { cid: vsock.cid });
            }
            absolute("vsock socket", &vsock.uds_path)?;
        }
        for net in &self.net {
            let name = &net.tap;
            if name.is_empty()
                || name.len() > MAX_INTERFACE_NAME
                || name.bytes().any(|b| b == b'/' || b <= b' ')
            {
                return Err(Invalid::Interface { name: name.clone() });
            }
            if net.mac[0] & 1 != 0 || net.mac == [0; 6] {
                return Err(Invalid::Mac { mac: net.mac });
            }
        }
        for block in &self.block {
            absolute("disk", &block.path)?;
            if block.serial.len() > MAX_SERIAL {
                return Err(Invalid::Serial { serial: block.serial.clone() });
            }
        }
        match &self.jail {
            Some(jail) if jail.uid == 0 || jail.gid == 0 => Err(Invalid::Root),
            Some(jail) => jail.cgroup.as_deref().map_or(Ok(()), |cgroup| absolute("cgroup", cgroup)),
            None => Ok(()),
        }
    }

    fn validate_size(&self, host: Option<u64>) -> Result<(), Invalid> {
        let asked = self.memory_mib;
        if asked < MIN_MEMORY_MIB {
            return Err(Invalid::TooLittleMemory { asked });
        }
        // An unknown host size leaves it to the allocation.
        if let Some(host) = host.filter(|host| asked > *host) {
            return Err(Invalid::TooMuchMemory { asked, host });
        }
        if (1..=MAX_VCPUS).contains(&self.vcpus) { Ok(()) } else { Err(Invalid::Vcpus { asked: self.vcpus }) }
    }
}

/// The host's RAM in MiB.
fn host_memory_mib() -> Option<u64> {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).checked_mul(u64::from(info.mem_unit)).map(|bytes| bytes >> 20)
}

fn absolute(what: &'static str, path: &Path) -> Result<(), Invalid> {
    if path.is_absolute() {
        Ok(())
    } else {
        Err(Invalid::RelativePath { what, path: path.display().to_string() })
    }
}

/// A tag is a file name in the jail, so it must not lead anywhere.
fn valid_tag(tag: &str) -> Result<(), Invalid> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let ok = (1..=MAX_TAG).contains(&tag.len()) && tag.bytes().all(plain) && tag != "." && tag != "..";
    if ok { Ok(()) } else { Err(Invalid::Tag { tag: tag.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use crate::config::VmConfig;

    fn config(change: impl FnOnce(&mut serde_json::Value)) -> Result<(), String> {
        let mut json = serde_json::json!({
            "kernel": "/k", "initramfs": "/i", "memory_mib": 128, "vcpus": 1, "boot_deadline_ms": 0,
            "fs": [{"tag": "a", "path": "/x", "cache": "private"}, {"tag": "b", "path": "/x", "cache": "coherent"}],
            "vsock": {"cid": 3, "uds_path": "/v"},
            "net": [{"tap": "tap0", "mac": [2, 0, 0, 0, 0, 1]}],
            "block": [{"path": "/b"}],
            "jail": {"uid": 1, "gid": 1, "max_files": 1000}
        });
        change(&mut json);
        serde_json::from_value::<VmConfig>(json).unwrap().validate().map_err(|e| e.to_string())
    }

    #[test]
    fn a_full_configuration_is_valid() {
        config(|_| ()).unwrap();
    }

    #[test]
    fn each_bound_is_enforced_and_names_its_remedy() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 14] = [
            (|c| c["memory_mib"] = 1.into(), "at least 32 MiB"),
            (|c| c["memory_mib"] = (1_u64 << 50).into(), "ask for less"),
            (|c| c["vcpus"] = 0.into(), "1 to 64"),
            (|c| c["vcpus"] = 65.into(), "1 to 64"),
            (|c| c["fs"][0]["tag"] = "".into(), "1 to 36"),
            (|c| c["fs"][0]["tag"] = "..".into(), "1 to 36"),
            (|c| c["fs"][0]["tag"] = "a/b".into(), "1 to 36"),
            (|c| c["fs"][0]["tag"] = "b".into(), "used twice"),
            (|c| c["fs"][0]["path"] = "x".into(), "not an absolute path"),
            (|c| c["vsock"]["cid"] = 2.into(), "reserved"),
            (|c| c["net"][0]["tap"] = "a/b".into(), "name of a network interface"),
            (|c| c["net"][0]["mac"][0] = 1.into(), "unicast"),
            (|c| c["block"][0]["serial"] = "123456789012345678901".into(), "longer than 20"),
            (|c| c["jail"]["uid"] = 0.into(), "cannot run as root"),
        ];
        for (change, text) in cases {
            let error = config(change).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
