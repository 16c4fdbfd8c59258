//! Namespaces: which are new, which are joined by path, and the id mappings of a new user namespace.

use std::collections::HashMap;
use std::fmt::Write;
use std::os::fd::OwnedFd;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType as Type, LinuxTimeOffset};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use crate::error::{Context, Error};
use crate::sys::clone::{Forked, fork};

/// More mappings than this the kernel does not take (UID_GID_MAP_MAX_EXTENTS).
const MAX_MAPPINGS: usize = 340;

/// The namespaces of a container.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// CLONE_NEW* of the new ones.
    pub(crate) new: i32,
    /// Descriptors of those to join.
    pub(crate) join: Vec<(Type, OwnedFd)>,
    pub(crate) uid_maps: Vec<LinuxIdMapping>,
    pub(crate) gid_maps: Vec<LinuxIdMapping>,
    /// Contents for /proc/PID/timens_offsets.
    pub(crate) time_offsets: String,
}

impl Namespaces {
    pub(crate) fn new(linux: &Linux) -> Result<Self, Error> {
        let namespaces = linux.namespaces().as_deref().unwrap_or_default();
        let mut plan = Namespaces {
            new: 0,
            join: Vec::new(),
            uid_maps: linux.uid_mappings().clone().unwrap_or_default(),
            gid_maps: linux.gid_mappings().clone().unwrap_or_default(),
            time_offsets: String::new(),
        };
        for namespace in namespaces {
            plan.add(namespace)?;
        }
        // Everything else is owned by the user namespace: it is joined first.
        plan.join.sort_by_key(|(kind, _)| *kind != Type::User);
        if plan.is_new(Type::User) {
            check_maps("uidMappings", &plan.uid_maps)?;
            check_maps("gidMappings", &plan.gid_maps)?;
        } else if !(plan.joins(Type::User) || plan.uid_maps.is_empty() && plan.gid_maps.is_empty()) {
            return Err(Error::spec("uidMappings or gidMappings without a user namespace"));
        }
        if let Some(offsets) = linux.time_offsets().as_ref().filter(|offsets| !offsets.is_empty()) {
            if !plan.is_new(Type::Time) {
                return Err(Error::spec("timeOffsets without a new time namespace"));
            }
            plan.time_offsets = time_offsets(offsets)?;
        }
        Ok(plan)
    }

    fn add(&mut self, namespace: &LinuxNamespace) -> Result<(), Error> {
        let kind = namespace.typ();
        if self.is_new(kind) || self.joins(kind) {
            return Err(Error::spec(format!("namespace \"{kind}\" is listed twice")));
        }
        let Some(path) = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) else {
            self.new |= kind as i32;
            return Ok(());
        };
        if !path.is_absolute() {
            return Err(Error::spec(format!("namespace path {} is not absolute", path.display())));
        }
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .context(|| format!("open {kind} namespace {}", path.display()))?;
        self.join.push((kind, fd));
        Ok(())
    }

    pub(crate) fn is_new(&self, kind: Type) -> bool {
        self.new & kind as i32 != 0
    }

    pub(crate) fn joins(&self, kind: Type) -> bool {
        self.join.iter().any(|(joined, _)| *joined == kind)
    }

    pub(crate) fn has(&self, kind: Type) -> bool {
        self.is_new(kind) || self.joins(kind)
    }
}

fn check_maps(name: &str, maps: &[LinuxIdMapping]) -> Result<(), Error> {
    if maps.is_empty() {
        return Err(Error::spec(format!("a new user namespace needs {name}")));
    }
    if maps.len() > MAX_MAPPINGS {
        return Err(Error::spec(format!("{} {name}: the kernel takes {MAX_MAPPINGS}", maps.len())));
    }
    Ok(())
}

fn time_offsets(offsets: &HashMap<String, LinuxTimeOffset>) -> Result<String, Error> {
    let mut text = String::new();
    for (clock, offset) in offsets {
        if clock != "monotonic" && clock != "boottime" {
            return Err(Error::spec(format!("timeOffsets: \"{clock}\" is neither monotonic nor boottime")));
        }
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        let _ = writeln!(text, "{clock} {seconds} {nanoseconds}");
    }
    Ok(text)
}

/// Writes the id mappings of the process `pid`, whose new user namespace waits for them.
pub(crate) fn write_maps(pid: Pid, uid: &[LinuxIdMapping], gid: &[LinuxIdMapping]) -> Result<(), Error> {
    let base = format!("/proc/{}", pid.as_raw_nonzero());
    let write = |file: &str, text: &str| std::fs::write(format!("{base}/{file}"), text);
    let map = |maps: &[LinuxIdMapping]| {
        maps.iter().fold(String::new(), |mut text, map| {
            let _ = writeln!(text, "{} {} {}", map.container_id(), map.host_id(), map.size());
            text
        })
    };
    write("uid_map", &map(uid)).context(|| format!("write {base}/uid_map"))?;
    let gid = map(gid);
    if let Err(error) = write("gid_map", &gid) {
        if error.raw_os_error() != Some(libc::EPERM) {
            return Err(error).context(|| format!("write {base}/gid_map"));
        }
        // Without privilege a group may only be mapped by giving up setgroups (user_namespaces(7)).
        write("setgroups", "deny").context(|| format!("write {base}/setgroups"))?;
        write("gid_map", &gid).context(|| format!("write {base}/gid_map"))?;
    }
    Ok(())
}

/// A user namespace with these mappings that no process is in, as an argument for id-mapped mounts.
pub(crate) fn user_namespace(uid: &[LinuxIdMapping], gid: &[LinuxIdMapping]) -> Result<OwnedFd, Error> {
    // SAFETY: callers of this crate have one thread, and the child does nothing but wait to be killed.
    match unsafe { fork(libc::CLONE_NEWUSER as u64, None) }.context(|| "make a user namespace")? {
        Forked::Child => loop {
            // SAFETY: no arguments; returns only for signals with handlers, of which this child has none.
            unsafe { libc::pause() };
        },
        Forked::Parent { pid, pidfd } => {
            let result = write_maps(pid, uid, gid).and_then(|()| {
                let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
                rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .context(|| format!("open {path}"))
            });
            let process = crate::process::Process { pid, pidfd, terminal: None };
            process.signal(Signal::KILL)?;
            process.wait()?;
            result
        }
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxBuilder, LinuxNamespaceBuilder};

    use super::*;

    fn plan(namespaces: &[(Type, Option<&str>)]) -> Result<Namespaces, Error> {
        let list: Vec<LinuxNamespace> = namespaces
            .iter()
            .map(|(kind, path)| {
                let mut builder = LinuxNamespaceBuilder::default().typ(*kind);
                if let Some(path) = path {
                    builder = builder.path(*path);
                }
                builder.build().expect("a namespace")
            })
            .collect();
        Namespaces::new(&LinuxBuilder::default().namespaces(list).build().expect("linux"))
    }

    #[test]
    fn new_and_joined() {
        let namespaces =
            plan(&[(Type::Pid, None), (Type::Network, Some("/proc/self/ns/net"))]).expect("a plan");
        assert!(namespaces.is_new(Type::Pid) && !namespaces.is_new(Type::Network));
        assert!(
            namespaces.joins(Type::Network) && namespaces.has(Type::Network) && !namespaces.has(Type::Uts)
        );
    }

    #[test]
    fn contradictions_are_refused() {
        for (namespaces, words) in [
            (vec![(Type::Pid, None), (Type::Pid, None)], "twice"),
            (vec![(Type::Network, Some("relative"))], "not absolute"),
            (vec![(Type::Network, Some("/nowhere"))], "no such file"),
            (vec![(Type::User, None)], "needs uidMappings"),
        ] {
            let error = plan(&namespaces).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
