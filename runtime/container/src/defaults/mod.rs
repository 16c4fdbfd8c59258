//! Docker's defaults for containers, as parts of an OCI spec.

mod seccomp;

use oci_spec::runtime::{
    Capabilities, Capability, LinuxCapabilities, LinuxDeviceCgroup, LinuxDeviceType, Mount,
    get_default_maskedpaths,
};

pub use seccomp::seccomp;

/// Docker's 14 capabilities of an unprivileged container.
pub fn capabilities() -> Vec<Capability> {
    vec![
        Capability::AuditWrite,
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fowner,
        Capability::Fsetid,
        Capability::Kill,
        Capability::Mknod,
        Capability::NetBindService,
        Capability::NetRaw,
        Capability::Setfcap,
        Capability::Setgid,
        Capability::Setpcap,
        Capability::Setuid,
        Capability::SysChroot,
    ]
}

/// Every capability that a runtime spec can name (`--privileged`, `--cap-add ALL`). What this process does not have
/// itself is left out when the container is created.
pub fn all_capabilities() -> Vec<Capability> {
    crate::init::capabilities::ALL.iter().map(|&(capability, _)| capability).collect()
}

/// The sets of a process with the capabilities `caps`: as execve would leave them. Only user 0 has them; for other
/// users they are what a set-user-ID program can get.
pub fn capability_sets(caps: &[Capability], uid: u32) -> LinuxCapabilities {
    let all: Capabilities = caps.iter().copied().collect();
    let held = if uid == 0 { all.clone() } else { Capabilities::new() };
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(all));
    sets.set_effective(Some(held.clone()));
    sets.set_permitted(Some(held));
    sets.set_inheritable(Some(Capabilities::new()));
    sets.set_ambient(Some(Capabilities::new()));
    sets
}

/// Paths whose content is hidden.
pub fn masked_paths() -> Vec<String> {
    let mut paths = get_default_maskedpaths();
    for path in ["/proc/interrupts", "/sys/devices/virtual/powercap"] {
        if !paths.iter().any(|have| have == path) {
            paths.push(path.to_owned());
        }
    }
    paths
}

/// Paths that are read-only.
pub fn readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].map(str::to_owned).to_vec()
}

/// The file systems of every container, in the order in which they are mounted. `/dev/shm` has `shm_size` bytes
/// (Docker: 64 MiB).
pub fn mounts(shm_size: u64) -> Vec<Mount> {
    let shm_size = format!("size={shm_size}");
    let table: [(&str, &str, &str, &[&str]); 7] = [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm_size]),
    ];
    table
        .iter()
        .map(|(destination, kind, source, options)| {
            let mut mount = Mount::default();
            mount.set_destination((*destination).into());
            mount.set_typ(Some((*kind).to_owned()));
            mount.set_source(Some((*source).into()));
            mount.set_options(Some(options.iter().map(|&option| option.to_owned()).collect()));
            mount
        })
        .collect()
}

/// Device access: nothing but the making of nodes and the harmless devices of every container.
pub fn device_rules() -> Vec<LinuxDeviceCgroup> {
    let mut rules = vec![device_rule(false, "a *:* rwm")];
    rules.extend(ALWAYS_ALLOWED.iter().map(|text| device_rule(true, text)));
    rules
}

/// Device access of `--privileged`.
pub fn privileged_device_rules() -> Vec<LinuxDeviceCgroup> {
    vec![device_rule(true, "a *:* rwm")]
}

/// What every container may use: making nodes; null, zero, full, random, urandom, tty; console, ptmx, pts.
pub(crate) const ALWAYS_ALLOWED: [&str; 11] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// A rule from the kernel's notation: `c 1:3 rwm`, `a *:* rwm`. What cannot be read is every device.
pub fn device_rule(allow: bool, text: &str) -> LinuxDeviceCgroup {
    let mut words = text.split(' ');
    let kind = match words.next() {
        Some("b") => LinuxDeviceType::B,
        Some("c") => LinuxDeviceType::C,
        _ => LinuxDeviceType::A,
    };
    let (major, minor) = words.next().and_then(|numbers| numbers.split_once(':')).unwrap_or(("*", "*"));
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow);
    rule.set_typ(Some(kind));
    rule.set_major(major.parse().ok());
    rule.set_minor(minor.parse().ok());
    rule.set_access(words.next().map(str::to_owned));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_has_it() {
        assert_eq!(capabilities().len(), 14);
        for path in
            ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/scsi", "/proc/acpi"]
        {
            assert!(masked_paths().iter().any(|have| have == path), "{path}");
        }
        assert_eq!(mounts(1 << 20).iter().filter(|m| m.typ().as_deref() == Some("tmpfs")).count(), 2);
        assert!(
            mounts(4096)
                .last()
                .and_then(|m| m.options().clone())
                .is_some_and(|o| o.contains(&"size=4096".into()))
        );
    }

    #[test]
    fn rules_are_read_from_the_kernels_notation() {
        let rule = device_rule(true, "c 136:* rw");
        assert_eq!((rule.typ(), rule.major(), rule.minor()), (Some(LinuxDeviceType::C), Some(136), None));
        assert_eq!(rule.access().as_deref(), Some("rw"));
    }
}
