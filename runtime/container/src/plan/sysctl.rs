//! Sysctls: only those of a namespace that the container has for itself, or, in a guest, of the kernel that it has for
//! itself.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::path::Path;

use oci_spec::runtime::LinuxNamespaceType as Type;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::namespaces::Namespaces;
use crate::error::{Context, Error};

const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// (path below /proc/sys, value), sorted.
pub(crate) fn plan(
    sysctls: &HashMap<String, String>,
    namespaces: &Namespaces,
    own_kernel: bool,
) -> Result<Vec<(String, String)>, Error> {
    let mut plan = Vec::with_capacity(sysctls.len());
    for (name, value) in sysctls {
        let path = normalize(name);
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") || path.contains('\0') {
            return Err(Error::spec(format!("sysctl \"{name}\" is not a name")));
        }
        let needs = if IPC.contains(&path.as_str()) || path.starts_with("fs/mqueue/") {
            Type::Ipc
        } else if path.starts_with("net/") {
            Type::Network
        } else if path == "kernel/domainname" {
            Type::Uts
        } else if path == "kernel/hostname" {
            return Err(Error::spec("sysctl \"kernel.hostname\": use hostname of the spec"));
        } else if own_kernel {
            plan.push((path, value.clone()));
            continue;
        } else {
            return Err(Error::spec(format!(
                "sysctl \"{name}\" is not in a namespace of the container: it would change the host"
            )));
        };
        // The guest's own network namespace is the container's.
        if !namespaces.has(needs) && !own_kernel {
            return Err(Error::spec(format!(
                "sysctl \"{name}\" needs a {needs} namespace of the container's own"
            )));
        }
        plan.push((path, value.clone()));
    }
    plan.sort();
    Ok(plan)
}

/// `net.ipv4.conf.eth0/1.x` and `net/ipv4/conf/eth0.1/x` are the same: the first separator is the one, and
/// the other stands for itself.
fn normalize(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(first) if name.as_bytes().get(first) == Some(&b'.') => name
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// Writes them through `proc`, a procfs that the container has no say in.
pub(crate) fn write(proc: BorrowedFd<'_>, sysctls: &[(String, String)]) -> Result<(), Error> {
    for (path, value) in sysctls {
        let doing = || format!("set sysctl {} to \"{value}\"", path.replace('/', "."));
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let path = Path::new("sys").join(path);
        let file = rustix::fs::openat2(proc, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
            .context(doing)?;
        rustix::io::write(&file, value.as_bytes()).context(doing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(new: i32) -> Namespaces {
        Namespaces { new, join: vec![], uid_maps: vec![], gid_maps: vec![], time_offsets: String::new() }
    }

    fn one_in(name: &str, new: i32, own_kernel: bool) -> Result<Vec<(String, String)>, Error> {
        plan(&HashMap::from([(name.to_owned(), "1".to_owned())]), &namespaces(new), own_kernel)
    }

    fn one(name: &str, new: i32) -> Result<Vec<(String, String)>, Error> {
        one_in(name, new, false)
    }

    #[test]
    fn a_guest_has_all() {
        for name in ["kernel.panic", "vm.swappiness", "net.ipv4.ip_forward", "kernel.shmmax"] {
            assert_eq!(one_in(name, 0, true).expect(name).len(), 1);
        }
        for name in ["kernel.hostname", "net/../kernel/panic", "net..x", ""] {
            assert!(one_in(name, 0, true).is_err(), "{name}");
        }
    }

    #[test]
    fn only_what_is_namespaced() {
        let (net, ipc, uts) = (libc::CLONE_NEWNET, libc::CLONE_NEWIPC, libc::CLONE_NEWUTS);
        for (name, new, path) in [
            ("net.ipv4.ip_forward", net, "net/ipv4/ip_forward"),
            ("net/ipv4/conf/eth0.1/forwarding", net, "net/ipv4/conf/eth0.1/forwarding"),
            ("net.ipv4.conf.eth0/1.forwarding", net, "net/ipv4/conf/eth0.1/forwarding"),
            ("kernel.shmmax", ipc, "kernel/shmmax"),
            ("fs.mqueue.msg_max", ipc, "fs/mqueue/msg_max"),
            ("kernel.domainname", uts, "kernel/domainname"),
        ] {
            assert_eq!(one(name, new).expect(name)[0].0, path);
            assert!(one(name, 0).is_err(), "{name} without the namespace");
        }
        for name in
            ["kernel.panic", "vm.overcommit_memory", "kernel.hostname", "net/../kernel/panic", "net..x", ""]
        {
            assert!(one(name, net | ipc | uts).is_err(), "{name}");
        }
    }
}
