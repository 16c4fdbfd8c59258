//! The fork: one clone3 into the cgroup with all new namespaces at once; around it what cannot be said to clone3.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::LinuxNamespaceType as Type;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use crate::error::{Context, Error};
use crate::init::credentials::become_root;
use crate::plan::namespaces::Namespaces;
use crate::process::Process;
use crate::sync::{Channel, Message};
use crate::sys;
use crate::sys::clone::{CLONE_PARENT, Forked, fork};

/// Namespaces that clone3 cannot make as they are needed: a cgroup namespace would be rooted in the parent's cgroup, a
/// time namespace takes its offsets before the first process is in it.
const NOT_BY_CLONE: i32 = libc::CLONE_NEWCGROUP | libc::CLONE_NEWTIME;

/// Forks a child that runs `body` in the new namespaces and in the joined PID namespace. `child` and
/// `parent` are the ends of its channel.
pub(crate) fn spawn(
    namespaces: &Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    parent: &Channel,
    child: &Channel,
    body: impl FnOnce(),
) -> Result<Process, Error> {
    let flags = (namespaces.new & !NOT_BY_CLONE) as u32 as u64;
    if let Some(user) = joined(namespaces, Type::User) {
        return spawn_below(user, namespaces, flags, cgroup, (parent, child), body);
    }
    let _time =
        namespaces.is_new(Type::Time).then(|| NewTime::enter(&namespaces.time_offsets)).transpose()?;
    let _pid = joined(namespaces, Type::Pid).map(ChildrenIn::enter).transpose()?;
    clone(flags, cgroup, body)
}

/// Forks a child that runs `body` in the PID namespace of `target` (a pidfd) when `own_pids`.
pub(crate) fn spawn_beside(
    target: BorrowedFd<'_>,
    own_pids: bool,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce(),
) -> Result<Process, Error> {
    let _pid = own_pids.then(|| ChildrenIn::enter(target)).transpose()?;
    clone(0, cgroup, body)
}

/// Forks a copy of this process that runs `body`, in no other namespace or cgroup.
pub(crate) fn spawn_plain(body: impl FnOnce()) -> Result<Process, Error> {
    clone(0, None, body)
}

fn clone(flags: u64, cgroup: Option<BorrowedFd<'_>>, body: impl FnOnce()) -> Result<Process, Error> {
    // SAFETY: callers of this crate have one thread, and `body` never returns.
    match unsafe { fork(flags, cgroup) }.map_err(|errno| explain(errno, flags))? {
        Forked::Child => {
            body();
            // SAFETY: `body` has exec'ed or ended this process; should it return, its parent's code must not run twice.
            unsafe { libc::_exit(1) }
        }
        Forked::Parent { pid, pidfd } => Ok(Process { pid, pidfd, terminal: None }),
    }
}

fn explain(errno: Errno, flags: u64) -> Error {
    match errno {
        Errno::NOSPC => Error::Unavailable {
            feature: "another namespace".to_owned(),
            reason: "the limit in /proc/sys/user is reached; raise it or end containers".to_owned(),
        },
        Errno::PERM if flags & libc::CLONE_NEWUSER as u64 != 0 => Error::Unavailable {
            feature: "a user namespace".to_owned(),
            reason: "the kernel does not permit it: we are in a chroot, or user.max_user_namespaces is 0"
                .to_owned(),
        },
        errno => Error::System {
            doing: format!("clone the container's init (flags {flags:#x})"),
            errno: errno.raw_os_error(),
        },
    }
}

fn joined(namespaces: &Namespaces, kind: Type) -> Option<BorrowedFd<'_>> {
    namespaces.join.iter().find(|(joined, _)| *joined == kind).map(|(_, fd)| fd.as_fd())
}

/// With a user namespace to join, everything new has to be made by a process that is in it already: an intermediate
/// one joins, forks the init as its sibling, tells its PID, and ends.
fn spawn_below(
    user: BorrowedFd<'_>,
    namespaces: &Namespaces,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    (parent, channel): (&Channel, &Channel),
    body: impl FnOnce(),
) -> Result<Process, Error> {
    let between = clone(0, cgroup, || {
        crate::init::run(channel, || {
            sys::setns(user, libc::CLONE_NEWUSER).context(|| "join the user namespace")?;
            become_root()?;
            if let Some(pid) = joined(namespaces, Type::Pid) {
                sys::setns(pid, libc::CLONE_NEWPID).context(|| "join the pid namespace")?;
            }
            if namespaces.is_new(Type::Time) {
                NewTime::unshare(&namespaces.time_offsets)?;
            }
            let init = clone(flags | CLONE_PARENT, None, body)?;
            let pid = init.pid.as_raw_nonzero().get();
            channel.send(&Message::Forked(pid), Some(init.pidfd.as_fd()))?;
            // SAFETY: ends this process at once; nothing of it is needed any more.
            unsafe { libc::_exit(0) }
        })
    })?;
    let answer = parent.receive();
    let ended = between.wait()?;
    match answer? {
        Some((Message::Forked(pid), Some(pidfd))) => {
            let pid = Pid::from_raw(pid).ok_or_else(|| Error::InitDied("it has no PID".to_owned()))?;
            Ok(Process { pid, pidfd, terminal: None })
        }
        Some((Message::Error(error), _)) => Err(error),
        _ => Err(Error::InitDied(format!("the process in between ended with {ended:?}"))),
    }
}

/// While it lives, children are born in another PID namespace.
struct ChildrenIn {
    own: OwnedFd,
}

impl ChildrenIn {
    fn enter(target: BorrowedFd<'_>) -> Result<Self, Error> {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).context(|| "open a pidfd of this process")?;
        sys::setns(target, libc::CLONE_NEWPID).context(|| "enter the pid namespace for the child")?;
        Ok(ChildrenIn { own })
    }
}

impl Drop for ChildrenIn {
    fn drop(&mut self) {
        // Going back to one's own PID namespace is always allowed.
        let _ = sys::setns(self.own.as_fd(), libc::CLONE_NEWPID);
    }
}

/// While it lives, children are born in a new time namespace.
struct NewTime {
    own: OwnedFd,
}

impl NewTime {
    fn enter(offsets: &str) -> Result<Self, Error> {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).context(|| "open a pidfd of this process")?;
        Self::unshare(offsets)?;
        Ok(NewTime { own })
    }

    fn unshare(offsets: &str) -> Result<(), Error> {
        sys::unshare(libc::CLONE_NEWTIME).context(|| "make a time namespace")?;
        if offsets.is_empty() {
            return Ok(());
        }
        std::fs::write("/proc/self/timens_offsets", offsets).context(|| "write /proc/self/timens_offsets")
    }
}

impl Drop for NewTime {
    fn drop(&mut self) {
        let _ = sys::setns(self.own.as_fd(), libc::CLONE_NEWTIME);
    }
}
