//! The last steps, the same for the init and for what exec adds: working directory, command, gate, identity, exec.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use oci_spec::runtime::Hook;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::{command, credentials, labels, reaper, scheduling, stdio};
use crate::error::{Context, Error};
use crate::hooks;
use crate::plan::process::ProcessPlan;
use crate::sync::{Channel, Message};
use crate::sys;

/// Where the word to start comes from.
#[derive(Debug)]
pub(crate) enum Gateway {
    /// The channel to the creator.
    Channel,
    /// Whoever connects here.
    Listener(OwnedFd),
}

/// A process that is inside and set up but for itself.
#[derive(Debug)]
pub(crate) struct Tail<'a> {
    pub(crate) plan: &'a ProcessPlan,
    pub(crate) channel: &'a Channel,
    pub(crate) gateway: Gateway,
    pub(crate) master: Option<OwnedFd>,
    pub(crate) proc: Option<OwnedFd>,
    pub(crate) die_with_parent: bool,
    pub(crate) init: bool,
    pub(crate) preserve_fds: u32,
    pub(crate) start_hooks: Vec<Hook>,
    pub(crate) hook_state: String,
}

impl Tail<'_> {
    pub(crate) fn run(mut self) -> Result<Infallible, Error> {
        self.close_descriptors()?;
        self.enter_working_directory()?;
        let program = command::look_up(self.plan)?;
        let env = self.environment();
        self.channel.send(&Message::Ready, self.master.as_ref().map(AsFd::as_fd))?;
        self.master = None;
        let starter = self.wait_for_start()?;
        let channel = starter.as_ref().unwrap_or(self.channel);
        let result = self.finish(channel, &program, &env);
        match (result, &starter) {
            (Err(error), Some(starter)) => {
                // The creator is gone; the starter hears it.
                let _ = starter.send(&Message::Error(error.clone()), None);
                Err(error)
            }
            (result, _) => result,
        }
    }

    fn finish(&self, channel: &Channel, program: &CString, env: &[CString]) -> Result<Infallible, Error> {
        hooks::run_all("startContainer", &self.start_hooks, &self.hook_state)?;
        if let Some(proc) = &self.proc {
            labels::set(proc.as_fd(), self.plan)?;
            if self.init {
                reaper::disguise(proc.as_fd(), &format!("sandbox-init -- {}", self.plan.command));
            }
        }
        if let Some(domain) = self.plan.personality {
            sys::personality(domain).context(|| "set the execution domain")?;
        }
        scheduling::apply(&self.plan.spec)?;
        stdio::give_to(self.plan.uid);
        let die_with = self.die_with_parent.then_some(self.channel);
        credentials::assume(self.plan, die_with, channel)?;
        if self.init {
            reaper::split()?;
        }
        Err(command::execute(self.plan, program, env))
    }

    /// Nothing of the host stays open: a directory would lead out of the container, by way of the working directory or of
    /// a command below /proc/self/fd (CVE-2024-21626).
    fn close_descriptors(&self) -> Result<(), Error> {
        let mut keep: Vec<RawFd> = vec![self.channel.as_fd().as_raw_fd()];
        keep.extend(self.master.as_ref().map(AsRawFd::as_raw_fd));
        keep.extend(self.proc.as_ref().map(AsRawFd::as_raw_fd));
        if let Gateway::Listener(listener) = &self.gateway {
            keep.push(listener.as_raw_fd());
        }
        keep.sort_unstable();
        let mut first = 3 + self.preserve_fds;
        for fd in keep.into_iter().map(|fd| fd as u32).filter(|&fd| fd >= 3) {
            if fd < first {
                return Err(Error::spec(format!(
                    "{} descriptors are to be preserved, but descriptor {fd} is ours",
                    self.preserve_fds
                )));
            }
            if fd > first {
                sys::close_range(first, fd - 1).context(|| "close descriptors")?;
            }
            first = fd + 1;
        }
        sys::close_range(first, u32::MAX).context(|| "close descriptors")
    }

    fn enter_working_directory(&self) -> Result<(), Error> {
        let cwd = &self.plan.cwd;
        rustix::process::chdir(cwd)
            .context(|| format!("change to the working directory {}", cwd.display()))?;
        // Outside of the root the kernel answers ENOENT or a path that starts with "(unreachable)".
        match rustix::process::getcwd(Vec::new()) {
            Ok(path) if path.as_bytes().starts_with(b"/") => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(Error::Refused(format!(
                "the working directory {} is outside of the container",
                cwd.display()
            ))),
            Err(errno) => Err(errno).context(|| "getcwd"),
        }
    }

    /// The environment, with HOME from the container's passwd file where it is missing.
    fn environment(&self) -> Vec<CString> {
        let mut env = self.plan.env.clone();
        if self.plan.needs_home {
            let home = crate::user::home_of(Path::new("/"), self.plan.uid);
            env.retain(|entry| !entry.as_bytes().starts_with(b"HOME="));
            env.extend(CString::new(format!("HOME={home}")));
        }
        env
    }

    /// Waits for the word to start. With a listener the result goes to who gave the word.
    fn wait_for_start(&self) -> Result<Option<Channel>, Error> {
        let Gateway::Listener(listener) = &self.gateway else {
            return match self.channel.receive()? {
                Some((Message::Start, _)) => Ok(None),
                _ => Err(Error::InitDied("its creator is gone".to_owned())),
            };
        };
        loop {
            let connection = rustix::io::retry_on_intr(|| accept_with(listener, SocketFlags::CLOEXEC))
                .context(|| "wait to be started")?;
            let starter = Channel(connection);
            // One that goes away without a word has changed nothing.
            if matches!(starter.receive(), Ok(Some((Message::Start, _)))) {
                return Ok(Some(starter));
            }
        }
    }
}
