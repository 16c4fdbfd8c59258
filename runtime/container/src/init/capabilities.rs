//! Capabilities: the five sets of the spec as bit masks, cut to what this process may give.

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};
use rustix::io::Errno;

use crate::error::{Context, Error};
use crate::sys;

/// Every capability with its number (`linux/capability.h`).
pub(crate) const ALL: [(Capability, u8); 41] = [
    (Capability::Chown, 0),
    (Capability::DacOverride, 1),
    (Capability::DacReadSearch, 2),
    (Capability::Fowner, 3),
    (Capability::Fsetid, 4),
    (Capability::Kill, 5),
    (Capability::Setgid, 6),
    (Capability::Setuid, 7),
    (Capability::Setpcap, 8),
    (Capability::LinuxImmutable, 9),
    (Capability::NetBindService, 10),
    (Capability::NetBroadcast, 11),
    (Capability::NetAdmin, 12),
    (Capability::NetRaw, 13),
    (Capability::IpcLock, 14),
    (Capability::IpcOwner, 15),
    (Capability::SysModule, 16),
    (Capability::SysRawio, 17),
    (Capability::SysChroot, 18),
    (Capability::SysPtrace, 19),
    (Capability::SysPacct, 20),
    (Capability::SysAdmin, CAP_SYS_ADMIN),
    (Capability::SysBoot, 22),
    (Capability::SysNice, 23),
    (Capability::SysResource, 24),
    (Capability::SysTime, 25),
    (Capability::SysTtyConfig, 26),
    (Capability::Mknod, 27),
    (Capability::Lease, 28),
    (Capability::AuditWrite, 29),
    (Capability::AuditControl, 30),
    (Capability::Setfcap, 31),
    (Capability::MacOverride, 32),
    (Capability::MacAdmin, 33),
    (Capability::Syslog, 34),
    (Capability::WakeAlarm, 35),
    (Capability::BlockSuspend, 36),
    (Capability::AuditRead, 37),
    (Capability::Perfmon, 38),
    (Capability::Bpf, 39),
    (Capability::CheckpointRestore, 40),
];

const CAP_SYS_ADMIN: u8 = 21;
/// More than the kernel has; asking above its last one ends the search.
const MAX_CAPABILITY: usize = 63;

/// Sets as bit masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    bounding: u64,
    effective: u64,
    inheritable: u64,
    permitted: u64,
    ambient: u64,
}

impl CapabilitySets {
    /// No capabilities in the spec are no capabilities.
    pub(crate) fn new(sets: Option<&LinuxCapabilities>) -> Self {
        let Some(sets) = sets else { return CapabilitySets::default() };
        CapabilitySets {
            bounding: mask(sets.bounding().as_ref()),
            effective: mask(sets.effective().as_ref()),
            inheritable: mask(sets.inheritable().as_ref()),
            permitted: mask(sets.permitted().as_ref()),
            ambient: mask(sets.ambient().as_ref()),
        }
    }

    /// What can really be given: only what is in the caller's permitted set, nothing effective or ambient that is
    /// not permitted, nothing ambient that is not inheritable.
    fn within(self, held: u64) -> Self {
        let permitted = self.permitted & held;
        let inheritable = self.inheritable & held;
        CapabilitySets {
            bounding: self.bounding,
            effective: self.effective & permitted,
            inheritable,
            permitted,
            ambient: self.ambient & permitted & inheritable,
        }
    }

    /// Drops everything else from the bounding set. Needs CAP_SETPCAP, so it comes before the user changes.
    pub(crate) fn limit_bounding(self) -> Result<(), Error> {
        for number in 0..=MAX_CAPABILITY {
            if self.bounding >> number & 1 == 1 {
                continue;
            }
            match prctl(libc::PR_CAPBSET_DROP, number, 0) {
                Ok(_) => {}
                // Above the kernel's last capability.
                Err(Errno::INVAL) => break,
                Err(errno) => match prctl(libc::PR_CAPBSET_READ, number, 0) {
                    Ok(0) => {}
                    _ => {
                        return Err(errno)
                            .context(|| format!("drop capability {number} from the bounding set"));
                    }
                },
            }
        }
        Ok(())
    }

    /// Sets permitted, effective and inheritable; with `keep_admin` CAP_SYS_ADMIN stays for the seccomp filter.
    pub(crate) fn apply(self, keep_admin: bool) -> Result<(), Error> {
        let held = get().context(|| "read this process's capabilities")?.permitted;
        let sets = self.within(held);
        let extra = if keep_admin { held & (1 << CAP_SYS_ADMIN) } else { 0 };
        set(sets.effective | extra, sets.permitted | extra, sets.inheritable).context(|| "set capabilities")
    }

    /// Raises the ambient set; after [`CapabilitySets::apply`].
    pub(crate) fn raise_ambient(self) -> Result<(), Error> {
        let held = get().context(|| "read this process's capabilities")?;
        // Old kernels know no ambient set.
        let _ = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0);
        let ambient = self.ambient & held.permitted & held.inheritable;
        (0..=MAX_CAPABILITY).filter(|number| ambient >> number & 1 == 1).try_for_each(|number| {
            prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as usize, number)
                .context(|| format!("raise ambient capability {number}"))
                .map(drop)
        })
    }
}

fn mask(set: Option<&Capabilities>) -> u64 {
    let bit = |wanted: &Capability| {
        ALL.iter().find(|(have, _)| have == wanted).map_or(0, |(_, number)| 1 << number)
    };
    set.into_iter().flatten().fold(0, |mask, capability| mask | bit(capability))
}

fn prctl(option: i32, a: usize, b: usize) -> Result<usize, Errno> {
    // SAFETY: the capability options take numbers only.
    unsafe { sys::syscall3(libc::SYS_prctl, option as usize, a, b) }
}

#[derive(Default)]
struct Held {
    permitted: u64,
    inheritable: u64,
}

/// _LINUX_CAPABILITY_VERSION_3.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn get() -> Result<Held, Errno> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    let (head, body) = (std::ptr::from_mut(&mut header) as usize, data.as_mut_ptr() as usize);
    // SAFETY: a header and the two structs that version 3 fills.
    unsafe { sys::syscall3(libc::SYS_capget, head, body, 0) }?;
    let [low, high] = data;
    let join = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    Ok(Held {
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

fn set(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    let mut header = Header { version: VERSION, pid: 0 };
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    let (head, body) = (std::ptr::from_mut(&mut header) as usize, data.as_ptr() as usize);
    // SAFETY: a header and the two structs that version 3 reads.
    unsafe { sys::syscall3(libc::SYS_capset, head, body, 0) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_once() {
        for (index, (capability, number)) in ALL.iter().enumerate() {
            assert_eq!(index, usize::from(*number), "{capability}");
        }
    }

    #[test]
    fn sets_are_cut_to_what_is_held() {
        let sets = CapabilitySets {
            bounding: 0b1111,
            effective: 0b1111,
            inheritable: 0b0110,
            permitted: 0b0111,
            ambient: 0b1111,
        };
        let cut = sets.within(0b1101);
        assert_eq!(
            cut,
            CapabilitySets {
                bounding: 0b1111,
                effective: 0b0101,
                inheritable: 0b0100,
                permitted: 0b0101,
                ambient: 0b0100
            }
        );
    }
}
