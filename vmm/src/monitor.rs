//! The control thread: builds the machine, then waits for the guest, its owner and the boot deadline.

mod owner;
mod timer;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;

use crate::config::VmConfig;
use crate::control::{Command, Event, ExitReason};
use crate::legacy::console;
use crate::machine::{self, Machine, Opened};
use crate::{jail, seccomp, thread, vcpu};

pub use owner::{CONTROL_FD, Owner, report_panics};
use timer::Timer;

const OWNER: u64 = 0;
const NEWS: u64 = 1;
const TIMER: u64 = 2;

/// How long after it is up a guest gets huge pages: what ends sooner does not earn their zeroing.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Config(#[from] crate::config::Invalid),
    #[error("{0}")]
    Machine(#[from] machine::Error),
    #[error("{0}")]
    Jail(#[from] jail::Error),
    #[error("cannot set up the control loop: {0}")]
    Loop(#[from] io::Error),
}

impl From<machine::OpenError> for Error {
    fn from(error: machine::OpenError) -> Self {
        Self::Machine(error.into())
    }
}

/// Builds the machine that `config` describes, inside its jail if it has one.
///
/// # Errors
/// Everything that can be wrong with the configuration, the host or the files; the text says what to do.
pub fn build(config: &VmConfig) -> Result<Machine, Error> {
    config.validate()?;
    let opened = Opened::open(config)?;
    let Some(jail) = &config.jail else { return Ok(Machine::build(config, opened)?) };
    jail::join_cgroup(jail)?;
    let inside = jail::enter(config, jail)?;
    let machine = Machine::build(&inside, opened)?;
    jail::finish()?;
    Ok(machine)
}

/// Runs the machine to its end; returns why it ended and the last of its console.
///
/// # Errors
/// If the loop's own files cannot be made.
pub fn run(
    config: &VmConfig,
    machine: &mut Machine,
    owner: Option<&Owner>,
) -> Result<(ExitReason, String), Error> {
    let mut control = Control::new(config, owner)?;
    control.watch(machine.news(), NEWS)?;
    if thread::confined() {
        seccomp::enter(seccomp::Filter::Control);
    }
    machine.resume();
    let reason = control.wait_for_end(machine);
    machine.stop();
    Ok((reason, machine.console_tail(console::RING_SIZE)))
}

struct Control<'a> {
    epoll: OwnedFd,
    /// The boot deadline, then the time at which the guest counts as settled.
    timer: Timer,
    /// 0 = none, or not any more.
    deadline_ms: u64,
    owner: Option<&'a Owner>,
    started: bool,
    /// The owner waits to hear that no vCPU runs.
    pausing: bool,
    /// The owner waits to hear that the balloon is as large as it asked.
    ballooning: bool,
}

impl<'a> Control<'a> {
    fn new(config: &VmConfig, owner: Option<&'a Owner>) -> io::Result<Self> {
        let control = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            timer: Timer::new()?,
            deadline_ms: config.boot_deadline_ms,
            owner,
            started: false,
            pausing: false,
            ballooning: false,
        };
        control.watch(&control.timer, TIMER)?;
        if let Some(owner) = owner {
            control.watch(owner, OWNER)?;
        }
        Ok(control)
    }

    fn watch(&self, file: &impl std::os::fd::AsRawFd, token: u64) -> io::Result<()> {
        // SAFETY: the caller holds the file open for the whole call.
        let file = unsafe { std::os::fd::BorrowedFd::borrow_raw(file.as_raw_fd()) };
        Ok(epoll::add(&self.epoll, file, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    fn wait_for_end(&mut self, machine: &Machine) -> ExitReason {
        let mut events = Vec::with_capacity(4);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return ExitReason::Error(format!("cannot wait for events: {error}")),
            }
            for event in &events {
                if let Some(reason) = self.handle(event.data.u64(), machine) {
                    return reason;
                }
            }
        }
    }

    fn handle(&mut self, token: u64, machine: &Machine) -> Option<ExitReason> {
        match token {
            NEWS => {
                // Only wakes us; the news itself is read from the machine.
                let _ = machine.news().read();
                self.note_start(machine);
                self.note_pause(machine);
                self.note_balloon(machine);
                machine.exit_reason()
            }
            TIMER if self.deadline_ms > 0 => Some(ExitReason::Deadline),
            TIMER => {
                self.timer.clear();
                machine.settle();
                None
            }
            OWNER => match self.owner?.receive() {
                Ok(Some(command)) => self.obey(&command, machine),
                Ok(None) => Some(ExitReason::Stopped),
                Err(error) => Some(ExitReason::Error(format!("the owner sent no valid command: {error}"))),
            },
            _ => None,
        }
    }

    fn obey(&mut self, command: &Command, machine: &Machine) -> Option<ExitReason> {
        match command {
            Command::Booted => {
                self.deadline_ms = 0;
                self.timer.set(SETTLED);
                None
            }
            Command::Stop => Some(ExitReason::Stopped),
            Command::Pause => {
                self.timer.hold();
                self.pausing = true;
                machine.pause();
                self.note_pause(machine);
                None
            }
            Command::Resume => {
                self.pausing = false;
                machine.resume();
                self.timer.release();
                self.tell(&Event::Resumed);
                None
            }
            Command::Balloon { mib } => {
                machine.set_balloon(*mib);
                let (target_mib, actual_mib) = machine.balloon();
                self.tell(&Event::Balloon { target_mib, actual_mib });
                self.ballooning = target_mib != actual_mib;
                None
            }
        }
    }

    fn tell(&self, event: &Event) {
        if let Some(owner) = self.owner {
            owner.send(event);
        }
    }

    /// Reports that a pause is in force.
    fn note_pause(&mut self, machine: &Machine) {
        if self.pausing && machine.is_paused() {
            self.pausing = false;
            self.tell(&Event::Paused);
        }
    }

    /// Reports that the guest has followed.
    fn note_balloon(&mut self, machine: &Machine) {
        let (target_mib, actual_mib) = machine.balloon();
        if self.ballooning && target_mib == actual_mib {
            self.ballooning = false;
            self.tell(&Event::Balloon { target_mib, actual_mib });
        }
    }

    /// Reports the first `KVM_RUN` and arms the deadline that counts from it; without one the guest settles by itself.
    fn note_start(&mut self, machine: &Machine) {
        let Some(at_ns) = machine.first_run_ns().filter(|_| !self.started) else { return };
        self.started = true;
        self.tell(&Event::Started { at_ns });
        if self.deadline_ms > 0 {
            let passed = Duration::from_nanos(vcpu::monotonic_ns().saturating_sub(at_ns));
            let left = Duration::from_millis(self.deadline_ms).saturating_sub(passed);
            self.timer.set(left);
        } else {
            self.timer.set(SETTLED);
        }
    }
}
