//! New limits of a running container: some bind it in the guest, some its monitor on the host, and the balloon is between.
//!
//! RAM that the container may not use any more goes back to the host through the balloon. It cannot become more than what
//! the machine was booted with.

use std::rc::Rc;
use std::time::Duration;

use oci_spec::runtime::{LinuxMemory, LinuxResources};
use sandbox_protocol::{self as protocol, request};
use sandbox_vmm::control::Command;
use tokio::time::timeout;

use super::container::VmContainer;
use super::json;
use crate::cgroup;
use crate::isolation::{Failure, Update};

/// How long the monitor may take to note what the balloon shall hold.
const NOTE: Duration = Duration::from_secs(5);
/// Less RAM than a guest needs for itself, MiB.
const LEAST_MIB: u64 = 48;

impl VmContainer {
    pub(super) async fn change_limits(&self, update: &Update) -> Result<(), Failure> {
        self.check(update)?;
        // A change that still waits for the guest is overtaken by this one.
        self.lowering.take().inspect(tokio::task::JoinHandle::abort);
        let balloon = update.memory_mib.map(|mib| self.memory_mib - mib);
        let less = balloon.is_some_and(|balloon| balloon > self.balloon.get());
        let (now, later) = split(update.monitor.as_ref(), less);
        if let (Some(limits), Some(path)) = (&now, &self.cgroup) {
            cgroup::update(path, limits)?;
        }
        // Whoever is to have less hears of it first, and is given more last.
        if less {
            self.limit_guest(&update.container).await?;
        }
        if let Some(mib) = balloon {
            self.inflate(mib, later).await?;
        }
        if less { Ok(()) } else { self.limit_guest(&update.container).await }
    }

    fn check(&self, update: &Update) -> Result<(), Failure> {
        let booted = self.memory_mib;
        let memory = update.container.memory().as_ref().and_then(LinuxMemory::limit).unwrap_or(0).max(0);
        let asked = update.memory_mib.unwrap_or(0).max((memory as u64).div_ceil(1 << 20));
        if asked > booted {
            return Err(Failure::engine(format!(
                "cannot give container {} a memory limit that needs {asked} MiB of RAM: its microVM was booted with {booted} \
                 MiB and cannot grow; recreate the container with a larger -m",
                self.id
            )));
        }
        match update.memory_mib {
            Some(mib) if mib < LEAST_MIB => Err(Failure::engine(format!(
                "cannot leave the microVM of container {} {mib} MiB of RAM: its kernel and agent need {LEAST_MIB}; \
                 use a larger -m",
                self.id
            ))),
            _ => Ok(()),
        }
    }

    async fn limit_guest(&self, limits: &LinuxResources) -> Result<(), Failure> {
        if *limits == LinuxResources::default() {
            return Ok(());
        }
        let update = protocol::Update { container: self.id.clone(), resources: json(limits)? };
        self.tell(request::Body::Update(update)).await
    }

    /// Sets what the balloon shall hold; once the guest has given it, `later` binds the monitor.
    async fn inflate(&self, mib: u64, later: Option<LinuxResources>) -> Result<(), Failure> {
        let mut news = self.monitor.news.balloon();
        let noted = async {
            self.monitor.command(&Command::Balloon { mib }).await;
            news.until(|balloon| balloon.target == mib).await;
            Ok(())
        };
        match timeout(NOTE, self.unless_dead(noted)).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(Failure::engine(format!(
                    "the monitor of container {}'s microVM did not set its balloon within {NOTE:?}: was it started \
                     by an older version? recreate the container",
                    self.id
                )));
            }
        }
        self.balloon.set(mib);
        let (Some(limits), Some(path)) = (later, self.cgroup.clone()) else { return Ok(()) };
        let monitor = Rc::clone(&self.monitor);
        let bind = async move {
            if !news.says(|balloon| balloon.actual >= mib) {
                tokio::select! {
                    () = news.until(|balloon| balloon.actual >= mib) => {}
                    _ = monitor.died() => return,
                }
            }
            // It is the second wall: the machine's size was the first, and the guest has given the rest away.
            let _ = cgroup::update(&path, &limits);
        };
        *self.lowering.borrow_mut() = Some(tokio::task::spawn_local(bind));
        Ok(())
    }
}

/// The monitor's limits that can be set now, and the memory limit that must wait until the guest has given memory back:
/// before that the kernel would kill the monitor.
fn split(limits: Option<&LinuxResources>, less: bool) -> (Option<LinuxResources>, Option<LinuxResources>) {
    let Some(limits) = limits else { return (None, None) };
    if !less || limits.memory().is_none() {
        return (Some(limits.clone()), None);
    }
    let (mut now, mut later) = (limits.clone(), LinuxResources::default());
    later.set_memory(*limits.memory());
    now.set_memory(None);
    (Some(now), Some(later))
}
