//! Who the process is: groups, ids, capabilities, no_new_privs and the filter, in the order that works.

use rustix::io::Errno;
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{set_keep_capabilities, set_no_new_privs};

use crate::error::{Context, Error};
use crate::plan::process::ProcessPlan;
use crate::sync::{Channel, Message};
use std::os::fd::AsFd;

/// Root of the user namespace that was just entered, so that what gets made belongs to it.
pub(crate) fn become_root() -> Result<(), Error> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| "become group 0 of the user namespace")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| "become user 0 of the user namespace")?;
    match rustix::thread::set_thread_groups(&[]) {
        // setgroups is denied in unprivileged user namespaces.
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(errno).context(|| "drop supplementary groups"),
    }
}

/// Everything up to exec. The filter comes as late as it can: after it only capset and execve are needed.
pub(crate) fn assume(plan: &ProcessPlan, die_with: Option<&Channel>, channel: &Channel) -> Result<(), Error> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(plan.umask));
    plan.capabilities.limit_bounding()?;
    if plan.uid != 0 {
        set_keep_capabilities(true).context(|| "keep capabilities")?;
    }
    set_ids(plan)?;
    if plan.no_new_privileges {
        set_no_new_privs(true).context(|| "set no_new_privs")?;
    }
    // Without no_new_privs the filter needs CAP_SYS_ADMIN.
    let keep_admin = plan.seccomp.is_some() && !plan.no_new_privileges;
    plan.capabilities.apply(keep_admin)?;
    plan.capabilities.raise_ambient()?;
    if let Some(parent) = die_with {
        // After the ids: changing them clears it.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .context(|| "bind to the parent's life")?;
        if parent.is_closed() {
            return Err(Error::InitDied("its parent died".to_owned()));
        }
    }
    let Some(filter) = &plan.seccomp else { return Ok(()) };
    if let Some(listener) = filter.load()? {
        channel.send(&Message::SeccompListener, Some(listener.as_fd()))?;
    }
    if keep_admin { plan.capabilities.apply(false) } else { Ok(()) }
}

fn set_ids(plan: &ProcessPlan) -> Result<(), Error> {
    let groups: Vec<Gid> = plan.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        Err(Errno::PERM) if groups.is_empty() => {}
        result => result.context(|| format!("set supplementary groups {:?}", plan.groups))?,
    }
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| format!("set group id {}", plan.gid))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| format!("set user id {}", plan.uid))
}
