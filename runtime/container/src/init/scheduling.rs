//! CPU and I/O scheduling of the process.

use oci_spec::runtime::{IOPriorityClass, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process, Scheduler};

use crate::error::{Context, Error};
use crate::sys;

/// `struct sched_attr` of `linux/sched/types.h`, with utilisation clamps.
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// "This process", for ioprio_set(2).
const IOPRIO_WHO_PROCESS: usize = 1;

/// Applies `process.scheduler` and `process.ioPriority`.
pub(crate) fn apply(process: &Process) -> Result<(), Error> {
    if let Some(scheduler) = process.scheduler() {
        set_scheduler(scheduler)?;
    }
    let Some(priority) = process.io_priority() else { return Ok(()) };
    let class = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    let level = usize::try_from(priority.priority())
        .ok()
        .filter(|level| *level <= 7)
        .ok_or_else(|| Error::spec(format!("process.ioPriority {} is not in 0..7", priority.priority())))?;
    // SAFETY: no pointers.
    unsafe { sys::syscall3(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, class << 13 | level) }
        .context(|| "set the I/O priority")
        .map(drop)
}

fn set_scheduler(scheduler: &Scheduler) -> Result<(), Error> {
    let policy = match scheduler.policy() {
        LinuxSchedulerPolicy::SchedOther => libc::SCHED_OTHER,
        LinuxSchedulerPolicy::SchedFifo => libc::SCHED_FIFO,
        LinuxSchedulerPolicy::SchedRr => libc::SCHED_RR,
        LinuxSchedulerPolicy::SchedBatch => libc::SCHED_BATCH,
        LinuxSchedulerPolicy::SchedIdle => libc::SCHED_IDLE,
        LinuxSchedulerPolicy::SchedDeadline => libc::SCHED_DEADLINE,
        LinuxSchedulerPolicy::SchedIso => {
            return Err(Error::Unavailable {
                feature: "process.scheduler SCHED_ISO".to_owned(),
                reason: "Linux has no such policy; use SCHED_OTHER".to_owned(),
            });
        }
    };
    let flags = scheduler.flags().iter().flatten().fold(0, |all, flag| {
        all | match flag {
            LinuxSchedulerFlag::SchedResetOnFork => 0x01,
            LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
            LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
            LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
            LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
            LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
            LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
        }
    });
    let attr = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: policy as u32,
        flags,
        nice: scheduler.nice().unwrap_or(0),
        priority: u32::try_from(scheduler.priority().unwrap_or(0))
            .map_err(|_| Error::spec("process.scheduler.priority is negative"))?,
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
        ..SchedAttr::default()
    };
    // SAFETY: a live sched_attr that says its own size; 0 is this process, no flags.
    unsafe { sys::syscall3(libc::SYS_sched_setattr, 0, std::ptr::from_ref(&attr) as usize, 0) }
        .context(|| "set the scheduler")
        .map(drop)
}
