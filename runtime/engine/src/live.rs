//! Talking to the supervisor of a running container.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use sandbox_shim::client::{self, Event};
use sandbox_shim::program::SOCKET_FILE;
use sandbox_shim::status::{self, Phase, Status};
use sandbox_shim::wire::{Exit, Notice, Request};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lock::{self, Owner};
use crate::state::containers::{Container, State};

/// A supervisor that was started just now is not listening yet: how often, and how far apart, it is tried.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Docker's words for what containers do.
pub(crate) const STATES: [&str; 7] =
    ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
/// Docker's word for the health of a container without a check.
pub(crate) const NO_HEALTH_CHECK: &str = "none";

/// A container and what it does now.
#[derive(Debug, Clone)]
pub struct View {
    pub container: Container,
    /// What its supervisor says; None when it has none.
    pub status: Option<Status>,
}

impl View {
    /// Docker's word for it.
    pub fn state(&self) -> &'static str {
        match (self.container.state, self.status.as_ref().map(|status| status.phase)) {
            (State::Removing, _) => "removing",
            (State::Running, Some(Phase::Paused)) => "paused",
            (State::Running, Some(Phase::Restarting)) => "restarting",
            (State::Running, Some(Phase::Exited)) | (State::Exited, _) => "exited",
            // Being started is what Docker shows as created.
            (State::Created, _) | (State::Running, Some(Phase::Starting) | None) => "created",
            (State::Running, Some(Phase::Running)) => "running",
        }
    }

    /// When it was started the last time.
    pub fn started_ns(&self) -> Option<i64> {
        self.status.as_ref().and_then(|status| status.started_ns).or(self.container.started_ns)
    }

    /// When it ended the last time.
    pub fn finished_ns(&self) -> Option<i64> {
        self.status.as_ref().and_then(|status| status.finished_ns).or(self.container.finished_ns)
    }

    /// How it ended the last time; 0 for one that never did, and for one that runs.
    pub fn exit_code(&self) -> u8 {
        match (self.state(), self.last_exit()) {
            ("running" | "paused", _) => 0,
            (_, Some(exit)) => exit.code,
            (_, None) => self.container.exit_code.unwrap_or(0),
        }
    }

    /// Docker's word for what its health checks say.
    pub fn health(&self) -> &'static str {
        let health = self.status.as_ref().and_then(|status| status.health.as_ref());
        health.map_or(NO_HEALTH_CHECK, |health| health.verdict.as_str())
    }

    pub(crate) fn last_exit(&self) -> Option<&Exit> {
        self.status.as_ref().and_then(|status| status.exit.as_ref())
    }

    /// Whether its process lives.
    pub fn is_running(&self) -> bool {
        matches!(self.state(), "running" | "paused" | "restarting")
    }
}

impl Engine {
    /// What a container does now.
    pub fn view(&self, container: Container) -> Result<View> {
        if container.state != State::Running {
            return Ok(View { container, status: None });
        }
        let (live, last) = (Path::new(&container.run_dir), self.paths.container(&container.id));
        // The last word comes before the live one goes.
        let status = match status::read(live).map_err(Error::io("read the status in", live))? {
            Some(status) => Some(status),
            None => status::read(&last).map_err(Error::io("read the last word in", last))?,
        };
        Ok(View { container, status })
    }

    /// What every container does now, newest first.
    pub fn views(&self) -> Result<Vec<View>> {
        self.containers()?.into_iter().map(|container| self.view(container)).collect()
    }

    /// A connection to a container's supervisor; [`Error::NotRunning`] when it has none.
    pub fn connect(&self, container: &Container) -> Result<UnixStream> {
        let not_running = || Error::NotRunning(container.id.clone());
        if container.state != State::Running {
            return Err(not_running());
        }
        let run_dir = Path::new(&container.run_dir);
        for attempt in 0.. {
            match connect(run_dir) {
                Ok(stream) => return Ok(stream),
                Err(_) if self.has_ended(container)? => return Err(not_running()),
                Err(e) if attempt == ATTEMPTS => {
                    return Err(Error::io("connect to", run_dir.join(SOCKET_FILE))(e));
                }
                Err(_) => {}
            }
            match lock::probe(&self.paths.container(&container.id))? {
                Owner::Alive => std::thread::sleep(PAUSE),
                Owner::Gone(_) | Owner::NoLock => return Err(not_running()),
            }
        }
        Err(not_running())
    }

    /// Asks the supervisor of a running container one thing.
    pub fn ask(&self, container: &Container, request: &Request) -> Result<Notice> {
        let mut asked = self.opened(container, request)?;
        let answer = asked.next()?;
        answer.ok_or_else(|| Error::NotRunning(container.id.clone()))
    }

    /// A question whose answers should come soon.
    pub(crate) fn asked_within(
        &self,
        container: &Container,
        request: &Request,
        patience: Duration,
    ) -> Result<Conversation> {
        let stream = self.connect(container)?;
        stream.set_read_timeout(Some(patience)).map_err(Error::system("set a time-out"))?;
        Conversation::open(stream, request)
    }

    /// The same for what is done or not.
    pub(crate) fn tell(&self, container: &Container, request: &Request) -> Result<()> {
        self.ask(container, request).map(drop)
    }

    /// Opens a conversation.
    pub(crate) fn opened(&self, container: &Container, request: &Request) -> Result<Conversation> {
        Conversation::open(self.connect(container)?, request)
    }

    /// Waits for the next end of a running container; [`Error::NotRunning`] when it runs no more. `ready` is called when the
    /// wait has begun.
    pub fn wait(&self, container: &Container, ready: impl FnOnce()) -> Result<Exit> {
        let mut asked = self.opened(container, &Request::Wait)?;
        let mut ready = Some(ready);
        loop {
            match asked.next()? {
                Some(Notice::Exited(exit)) => return Ok(exit),
                Some(_) => {
                    if let Some(ready) = ready.take() {
                        ready();
                    }
                }
                None => return Err(Error::NotRunning(container.id.clone())),
            }
        }
    }
}

/// A question and what comes of it.
pub(crate) struct Conversation {
    _sender: client::Sender,
    receiver: client::Receiver,
}

impl Conversation {
    pub(crate) fn open(stream: UnixStream, request: &Request) -> Result<Conversation> {
        let (sender, receiver) =
            client::connect(stream).map_err(Error::system("connect to the supervisor"))?;
        match sender.request(request) {
            // It has just ended, or never listens: the answer tells.
            Ok(()) | Err(client::FrameError::Io(_)) => {}
            Err(e) => return Err(Error::invalid(format!("ask the supervisor: {e}"))),
        }
        Ok(Conversation { _sender: sender, receiver })
    }

    /// The next notice; a failure is an error.
    pub(crate) fn next(&mut self) -> Result<Option<Notice>> {
        loop {
            match self.receiver.receive() {
                Ok(Some(Event::Notice(Notice::Failed { message, .. }))) => {
                    return Err(Error::Invalid(message));
                }
                Ok(Some(Event::Notice(notice))) => return Ok(Some(notice)),
                Ok(Some(Event::Stdout(_) | Event::Stderr(_))) => {}
                Ok(None) => return Ok(None),
                Err(e) => return Err(Error::invalid(format!("the supervisor's answer: {e}"))),
            }
        }
    }
}

/// By the directory's descriptor: an address holds 107 bytes (unix(7)).
pub(crate) fn connect(run_dir: &Path) -> std::io::Result<UnixStream> {
    let directory =
        rustix::fs::open(run_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd()))
}
