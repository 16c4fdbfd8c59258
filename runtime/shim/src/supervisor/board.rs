//! What the supervisor tells of itself: `status.json`, written anew with every change.

use std::cell::RefCell;
use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};

use crate::plan::Plan;
use crate::status::{self, Health, Phase, Status};
use crate::wire::Exit;

/// See the module.
#[derive(Debug)]
pub(crate) struct Board {
    id: String,
    status: RefCell<Status>,
    live: PathBuf,
    last: PathBuf,
    /// It has health checks.
    checked: bool,
}

impl Board {
    pub(crate) fn new(plan: &Plan) -> Self {
        let status = Status { supervisor: std::process::id(), ..Status::default() };
        Self {
            id: plan.id.clone(),
            status: RefCell::new(status),
            live: plan.run_dir.clone(),
            last: plan.container_dir.clone(),
            checked: plan.health.is_some(),
        }
    }

    /// The container's.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn stopped(&self) -> bool {
        self.status.borrow().stopped
    }

    /// Its process runs.
    pub(crate) fn running(&self, pid: i32) {
        self.change(|status| {
            (status.phase, status.pid, status.started_ns) = (Phase::Running, pid, Some(now_ns()));
            status.health = self.checked.then(Health::default);
        });
    }

    /// Its processes stand still, or go on.
    pub(crate) fn paused(&self, paused: bool) {
        self.change(|status| status.phase = if paused { Phase::Paused } else { Phase::Running });
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.status.borrow().phase == Phase::Paused
    }

    /// What its health checks found.
    pub(crate) fn health(&self, health: Health) {
        self.change(|status| status.health = Some(health));
    }

    /// Somebody asked for its end.
    pub(crate) fn stopping(&self) {
        self.status.borrow_mut().stopped = true;
    }

    /// Its end is not that of `--rm`.
    pub(crate) fn keep(&self) {
        self.status.borrow_mut().keep = true;
    }

    /// It has ended, for now.
    pub(crate) fn restarting(&self, exit: &Exit) {
        self.change(|status| {
            (status.phase, status.pid, status.finished_ns) = (Phase::Restarting, 0, Some(now_ns()));
            status.exit = Some(exit.clone());
            status.restarts += 1;
        });
    }

    /// It has ended for good: the last word.
    pub(crate) fn exited(&self, exit: &Exit) {
        {
            let mut status = self.status.borrow_mut();
            // An end while it waited to be started again is the end of before.
            let finished = status.finished_ns.filter(|_| status.phase == Phase::Restarting);
            (status.phase, status.pid) = (Phase::Exited, 0);
            status.finished_ns = finished.or_else(|| Some(now_ns()));
            status.exit = Some(exit.clone());
        }
        self.write(&self.last);
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.borrow_mut());
        self.write(&self.live);
    }

    fn write(&self, directory: &std::path::Path) {
        if let Err(error) = status::write(directory, &self.status.borrow()) {
            eprintln!("sandbox-shim: write {} in {}: {error}", status::FILE, directory.display());
        }
    }
}

/// Nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}
