//! The mounts of the spec, made one after the other beneath the root.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::copy_up;
use crate::error::{Context, Error};
use crate::plan::mount::{MountPlan, Source, copy, is_directory, set_propagation};
use crate::sys::mount::{ATTR_RDONLY, MountAttr, attach, clone_tree, new_fs, set_attr};
use crate::sys::path::{self, Missing};

/// PROC_SUPER_MAGIC of `linux/magic.h`.
const PROC_MAGIC: u64 = 0x9fa0;

/// What may be mounted over inside /proc: files that tell a container its own figures (lxcfs). Everything else there
/// would let the image fake or hide what the security of the process depends on.
const ALLOWED_IN_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// What the mounts need to know of the container.
#[derive(Debug)]
pub(crate) struct MountContext<'a> {
    pub(crate) root: BorrowedFd<'a>,
    /// The container's cgroup on the host.
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) own_cgroup_namespace: bool,
}

impl MountContext<'_> {
    /// Makes one mount. A read-only /dev is sealed later ([`seal_dev`]): the devices have to be made first.
    pub(crate) fn mount(&self, plan: &mut MountPlan) -> Result<(), Error> {
        let mut attr = plan.options.attr;
        if plan.is_on("/dev") {
            attr.set &= !ATTR_RDONLY;
        }
        let place = plan.destination.display().to_string();
        let (mount, target) = match &mut plan.source {
            Source::Remount => {
                let target =
                    path::open_place(self.root, &plan.destination).context(|| format!("open {place}"))?;
                set_attr(target.as_fd(), false, &attr).context(|| format!("remount {place}"))?;
                return set_recursive(target.as_fd(), &plan.options.recursive, &place);
            }
            Source::Bind { path, recursive, tree } => {
                let tree = match tree.take() {
                    Some(tree) => tree,
                    None => {
                        copy(path, *recursive, &plan.options.propagation)?.ok_or_else(|| Error::System {
                            doing: format!("open bind source {}", path.display()),
                            errno: libc::EPERM,
                        })?
                    }
                };
                let directory =
                    is_directory(tree.as_fd()).context(|| format!("stat bind source {}", path.display()))?;
                let missing = if directory { Missing::Directory } else { Missing::File };
                let target = path::create(self.root, &plan.destination, missing)?;
                check_proc(target.as_fd(), tree.as_fd(), &plan.destination)?;
                if !attr.is_empty() {
                    set_attr(tree.as_fd(), false, &attr)
                        .context(|| format!("set the options of the bind mount on {place}"))?;
                }
                (tree, target)
            }
            Source::Cgroup => {
                let target = path::create(self.root, &plan.destination, Missing::Directory)?;
                (self.cgroup_mount(&attr)?, target)
            }
            Source::New { kind, source } => {
                let (kind, source) = (kind.clone(), source.clone());
                self.new_mount(plan, &kind, &source, attr.set)?
            }
        };
        if !plan.options.propagation.is_empty() && !matches!(plan.source, Source::Bind { .. }) {
            set_propagation(mount.as_fd(), &plan.options.propagation)
                .context(|| format!("set the propagation of the mount on {place}"))?;
        }
        set_recursive(mount.as_fd(), &plan.options.recursive, &place)?;
        attach(mount.as_fd(), target.as_fd()).context(|| format!("mount on {place}"))
    }

    fn new_mount(
        &self,
        plan: &MountPlan,
        kind: &str,
        source: &str,
        attrs: u64,
    ) -> Result<(OwnedFd, OwnedFd), Error> {
        let place = plan.destination.display();
        let target = self.target(plan, kind)?;
        let mut data = plan.options.data.clone();
        if kind == "tmpfs"
            && let Target { mode: Some(mode), .. } = target
            && !data.iter().any(|option| option.starts_with("mode="))
        {
            // What is covered keeps its permissions.
            data.push(format!("mode={mode:o}"));
        }
        let doing = |error: Error| match error {
            Error::System { doing, errno } => Error::System { doing: format!("{doing} on {place}"), errno },
            other => other,
        };
        let copies_up = kind == "tmpfs" && plan.options.copy_up;
        let first_attrs = if copies_up { attrs & !ATTR_RDONLY } else { attrs };
        let mount = match new_fs(kind, source, &data, first_attrs) {
            // A user namespace without a network namespace of its own sees the host's.
            Err(Error::System { errno: libc::EPERM, .. }) if kind == "sysfs" => {
                let tree = clone_tree(rustix::fs::CWD, Path::new("/sys"), true)
                    .context(|| "mount sysfs, or else the host's /sys")?;
                set_attr(
                    tree.as_fd(),
                    true,
                    &MountAttr { set: attrs, propagation: libc::MS_PRIVATE, ..MountAttr::default() },
                )
                .context(|| "set the options of /sys")?;
                tree
            }
            result => result.map_err(doing)?,
        };
        if copies_up {
            copy_up::copy(target.place.as_fd(), mount.as_fd())
                .context(|| format!("copy {place} into its tmpfs"))?;
            set_attr(mount.as_fd(), false, &MountAttr::set(attrs & ATTR_RDONLY))
                .context(|| format!("make {place} read-only"))?;
        }
        Ok((mount, target.place))
    }

    /// The container's own cgroup at the root of what it sees.
    fn cgroup_mount(&self, attr: &MountAttr) -> Result<OwnedFd, Error> {
        // In the initial cgroup namespace a new mount would reset the options of the host's (nsdelegate).
        let fresh = if self.own_cgroup_namespace {
            new_fs("cgroup2", "cgroup", &[], attr.set)
        } else {
            Err(Error::System { doing: "mount cgroup2".to_owned(), errno: libc::EPERM })
        };
        match fresh {
            Err(Error::System { errno: libc::EPERM | libc::EBUSY, .. }) => {
                let path = match (&self.cgroup, self.own_cgroup_namespace) {
                    (Some(path), true) => path.clone(),
                    _ => crate::cgroup::mount_point()?,
                };
                let doing = || format!("bind cgroup {}", path.display());
                let tree = clone_tree(rustix::fs::CWD, &path, true).context(doing)?;
                let attr = MountAttr { propagation: libc::MS_PRIVATE, ..*attr };
                set_attr(tree.as_fd(), true, &attr).context(doing)?;
                Ok(tree)
            }
            result => result,
        }
    }

    fn target(&self, plan: &MountPlan, kind: &str) -> Result<Target, Error> {
        let place = plan.destination.display();
        if kind == "proc" || kind == "sysfs" {
            // A link there would put the real one elsewhere and leave the image's fake in its place.
            match path::open_plain(self.root, &plan.destination) {
                Ok(place) => return Ok(Target { place, mode: None }),
                Err(Errno::NOENT) => {}
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(Error::Refused(format!(
                        "{kind} must be mounted on an ordinary directory: {place} is none"
                    )));
                }
                Err(errno) => return Err(errno).context(|| format!("open {place} in the rootfs")),
            }
        }
        match path::open_place(self.root, &plan.destination) {
            Ok(target) => {
                if kind != "proc" {
                    check_proc(target.as_fd(), target.as_fd(), &plan.destination)?;
                }
                let stat = rustix::fs::fstat(&target).context(|| format!("stat {place}"))?;
                Ok(Target { place: target, mode: Some(stat.st_mode & 0o7777) })
            }
            Err(Errno::NOENT) => {
                let place = path::create(self.root, &plan.destination, Missing::Directory)?;
                Ok(Target { place, mode: None })
            }
            Err(errno) => Err(errno).context(|| format!("open {place} in the rootfs")),
        }
    }
}

struct Target {
    place: OwnedFd,
    /// Permissions of what was there already.
    mode: Option<u32>,
}

fn set_recursive(mount: BorrowedFd<'_>, attr: &MountAttr, place: &str) -> Result<(), Error> {
    if attr.is_empty() {
        return Ok(());
    }
    set_attr(mount, true, attr).context(|| format!("set the recursive options of the mount on {place}"))
}

/// Refuses mounts inside a procfs, a few files and other parts of a procfs apart.
fn check_proc(target: BorrowedFd<'_>, source: BorrowedFd<'_>, destination: &Path) -> Result<(), Error> {
    let is_proc =
        |fd: BorrowedFd<'_>| rustix::fs::fstatfs(fd).is_ok_and(|stat| stat.f_type as u64 == PROC_MAGIC);
    if !is_proc(target) || ALLOWED_IN_PROC.iter().any(|allowed| Path::new(allowed) == destination) {
        return Ok(());
    }
    if source.as_raw_fd() != target.as_raw_fd() && is_proc(source) {
        return Ok(());
    }
    Err(Error::Refused(format!("{} cannot be mounted on: it is inside /proc", destination.display())))
}

/// Makes a /dev that the spec mounts read-only read-only.
pub(crate) fn seal_dev(root: BorrowedFd<'_>, mounts: &[MountPlan]) -> Result<(), Error> {
    let readonly = |plan: &&MountPlan| plan.is_on("/dev") && plan.options.attr.set & ATTR_RDONLY != 0;
    if mounts.iter().rfind(readonly).is_none() {
        return Ok(());
    }
    let dev =
        path::open(root, Path::new("/dev"), OFlags::PATH | OFlags::DIRECTORY).context(|| "open /dev")?;
    set_attr(dev.as_fd(), false, &MountAttr::set(ATTR_RDONLY)).context(|| "make /dev read-only")
}

/// The host's procfs, verified to be one, for what is written through /proc before and after the root changes.
pub(crate) fn open_host_proc() -> Result<OwnedFd, Error> {
    let proc = rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .context(|| "open /proc")?;
    if !rustix::fs::fstatfs(&proc).is_ok_and(|stat| stat.f_type as u64 == PROC_MAGIC) {
        return Err(Error::Unavailable {
            feature: "/proc".to_owned(),
            reason: "what is mounted there is not a procfs; mount -t proc proc /proc".to_owned(),
        });
    }
    Ok(proc)
}
