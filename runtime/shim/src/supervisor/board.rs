//! What the supervisor tells of itself: `status.json`, written anew with every change.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use crate::calendar::now_ns;
use crate::events::{self, Event};
use crate::log::Subject;
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
    journal: Option<Journal>,
}

/// Where events are told, and of whom.
#[derive(Debug)]
struct Journal {
    run_root: PathBuf,
    subject: Subject,
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
            journal: plan
                .events
                .clone()
                .map(|run_root| Journal { run_root, subject: plan.log.subject.clone() }),
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
        self.tell("start", &[]);
    }

    /// Tells an event of the container.
    pub(crate) fn tell(&self, action: &str, more: &[(&str, &str)]) {
        let Some(Journal { run_root, subject }) = &self.journal else { return };
        let container = events::Container {
            id: &subject.id,
            name: &subject.name,
            image: &subject.image_name,
            labels: &subject.labels,
        };
        events::append(run_root, &Event::container(action, &container, more.iter().copied()));
    }

    /// Its processes stand still, or go on.
    pub(crate) fn paused(&self, paused: bool) {
        self.tell(if paused { "pause" } else { "unpause" }, &[]);
        self.change(|status| status.phase = if paused { Phase::Paused } else { Phase::Running });
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.status.borrow().phase == Phase::Paused
    }

    /// What its health checks found.
    pub(crate) fn health(&self, health: Health) {
        let before = self.status.borrow().health.as_ref().map(|health| health.verdict);
        if before != Some(health.verdict) {
            self.tell(&format!("health_status: {}", health.verdict.as_str()), &[]);
        }
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

    /// Its process has ended.
    pub(crate) fn died(&self, exit: &Exit, ran: Duration) {
        if exit.oom_killed {
            self.tell("oom", &[]);
        }
        let (code, seconds) = (exit.code.to_string(), ran.as_secs().to_string());
        self.tell("die", &[("execDuration", &seconds), ("exitCode", &code)]);
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
