//! The microVM's process: the monitor, its control socket, and how it ended.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command as Program, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use sandbox_protocol::FdStream;
use sandbox_vmm::config::VmConfig;
use sandbox_vmm::control::{Command, Event, ExitReason, MAX_PACKET};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::sync::watch;

use super::news::News;
use super::printable::printable;
use crate::isolation::Failure;
use crate::plan::VmPlan;
use crate::stamps::Stamps;

/// The descriptor on which the monitor expects its control socket.
const CONTROL_FD: i32 = 3;
/// How long a monitor may take to stop when it was asked to.
const STOP: Duration = Duration::from_secs(2);

/// How a microVM ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    /// For the user.
    pub(crate) reason: String,
    /// The signal that ended the monitor.
    pub(crate) signal: Option<i32>,
}

impl Death {
    /// 137 when somebody killed the monitor, 125 when the microVM failed.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.signal == Some(libc::SIGKILL) { 137 } else { sandbox_container::EXIT_ENGINE }
    }
}

/// A running monitor. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Monitor {
    pid: Pid,
    pidfd: OwnedFd,
    control: FdStream,
    death: watch::Receiver<Option<Death>>,
    pub(crate) news: News,
}

/// What the monitor said about its end.
#[derive(Debug, Default)]
struct LastWords {
    failed: Option<String>,
    exited: Option<(ExitReason, String)>,
}

impl Monitor {
    /// Starts it and sends the machine's description.
    ///
    /// # Errors
    /// What was tried and why it failed.
    pub(crate) async fn spawn(plan: &VmPlan, config: &VmConfig, stamps: Rc<Stamps>) -> Result<Self, Failure> {
        let fail = |error: io::Error| {
            Failure::engine(format!("start the microVM monitor {}: {error}", plan.vmm.display()))
        };
        let packet = serde_json::to_vec(config).map_err(|error| fail(error.into()))?;
        if packet.len() > MAX_PACKET {
            return Err(Failure::engine(format!(
                "the description of the microVM is longer than {MAX_PACKET} bytes"
            )));
        }
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(|error| fail(error.into()))?;
        let (pid, pidfd) = spawn_program(plan, &theirs).map_err(fail)?;
        drop(theirs);
        let mut monitor = Self::adopt((pid, pidfd), ours, stamps).map_err(fail)?;
        monitor.control.write_all(&packet).await.map_err(fail)?;
        Ok(monitor)
    }

    /// Takes over a child with the other end of `control`.
    pub(super) fn adopt(
        (pid, pidfd): (Pid, OwnedFd),
        control: OwnedFd,
        stamps: Rc<Stamps>,
    ) -> io::Result<Self> {
        let (sender, death) = watch::channel(None);
        let monitor = Self { pid, pidfd, control: FdStream::new(control)?, death, news: News::default() };
        let pidfd = monitor.pidfd.try_clone()?;
        // SAFETY: an `OwnedFd` keeps its descriptor open until it is dropped, and nothing replaces it in there.
        let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
        let (control, news) = (monitor.control.clone(), monitor.news.clone());
        tokio::task::spawn_local(watch_end((pid, pidfd), control, stamps, news, sender));
        Ok(monitor)
    }

    /// Tells the monitor something. One that is gone has told why by itself.
    pub(crate) async fn command(&self, command: &Command) {
        if let Ok(packet) = serde_json::to_vec(command) {
            let _ = self.control.clone().write_all(&packet).await;
        }
    }

    /// Waits for the microVM's end. Cancel safe.
    pub(crate) async fn died(&self) -> Death {
        let mut death = self.death.clone();
        let unknown = Death { reason: "the microVM monitor was lost".into(), signal: None };
        match death.wait_for(Option::is_some).await {
            Ok(death) => death.clone().unwrap_or(unknown),
            Err(_) => unknown,
        }
    }

    /// Ends it now.
    pub(crate) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Asks it to stop, as if power were cut, and waits until its process is gone.
    pub(crate) async fn stop(&self) {
        self.command(&Command::Stop).await;
        if tokio::time::timeout(STOP, self.died()).await.is_err() {
            self.kill();
            self.died().await;
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if self.death.borrow().is_none() {
            self.kill();
            let _ = rustix::io::retry_on_intr(|| {
                rustix::process::waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED)
            });
        }
    }
}

fn spawn_program(plan: &VmPlan, control: &OwnedFd) -> io::Result<(Pid, OwnedFd)> {
    let parent = rustix::process::getpid();
    let control = control.as_raw_fd();
    let mut program = Program::new(&plan.vmm);
    program.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // SAFETY: the number belongs to nobody else in this child, which is about to execute another program.
        let mut target = unsafe { OwnedFd::from_raw_fd(CONTROL_FD) };
        if control == CONTROL_FD {
            rustix::io::fcntl_setfd(&target, rustix::io::FdFlags::empty())?;
        } else {
            // SAFETY: the parent keeps the socket open over the fork.
            let control = unsafe { std::os::fd::BorrowedFd::borrow_raw(control) };
            rustix::io::dup2(control, &mut target)?;
        }
        std::mem::forget(target);
        Ok(())
    };
    // SAFETY: only system calls, and no allocation, between fork and exec.
    unsafe { program.pre_exec(prepare) };
    let child = program.spawn()?;
    let pid = Pid::from_raw(child.id() as i32).ok_or(io::ErrorKind::InvalidData)?;
    // The child is ours and nobody has waited for it, so its number cannot be another's.
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    Ok((pid, pidfd))
}

/// Collects what the monitor says until it closes its socket, then how its process ended.
async fn watch_end(
    (pid, pidfd): (Pid, AsyncFd<OwnedFd>),
    mut control: FdStream,
    stamps: Rc<Stamps>,
    news: News,
    death: watch::Sender<Option<Death>>,
) {
    let words = RefCell::new(LastWords::default());
    let listen = async {
        let mut packet = vec![0; MAX_PACKET];
        while let Ok(length) = control.read(&mut packet).await {
            match serde_json::from_slice(packet.get(..length).unwrap_or_default()) {
                Ok(Event::Started { at_ns }) => stamps.mark_at("first_kvm_run", at_ns),
                Ok(Event::Failed { error }) => words.borrow_mut().failed = Some(error),
                Ok(Event::Exited { reason, console_tail }) => {
                    words.borrow_mut().exited = Some((reason, console_tail));
                }
                Ok(event) => news.hear(&event),
                // End of file, or a monitor of another version.
                Err(_) if length == 0 => break,
                Err(_) => {}
            }
        }
    };
    // A monitor that is killed leaves its last packets in the socket: read to the end either way.
    listen.await;
    let _ = pidfd.readable().await;
    let status =
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
    let status = status.ok().flatten();
    let signal = status.as_ref().and_then(rustix::process::WaitIdStatus::terminating_signal);
    let code = status.as_ref().and_then(rustix::process::WaitIdStatus::exit_status);
    let reason = describe(&words.into_inner(), signal, code);
    let _ = death.send(Some(Death { reason, signal }));
}

fn describe(words: &LastWords, signal: Option<i32>, code: Option<i32>) -> String {
    if let Some(error) = &words.failed {
        return format!("cannot start the microVM: {}", printable(error));
    }
    let Some((reason, tail)) = &words.exited else {
        return match (signal, code) {
            (Some(signal), _) => format!("the microVM monitor was killed by signal {signal}"),
            (None, code) => format!(
                "the microVM monitor ended without a word, with exit status {}",
                code.map_or_else(|| "unknown".to_owned(), |code| code.to_string())
            ),
        };
    };
    let what = match reason {
        ExitReason::Stopped => "the microVM was stopped".to_owned(),
        ExitReason::Reset => {
            "the guest reset itself, as it does after a failure of its kernel or agent".to_owned()
        }
        ExitReason::Shutdown => "the guest's processor shut down (triple fault)".to_owned(),
        ExitReason::Halt => "the guest halted for good".to_owned(),
        ExitReason::Deadline => "the guest did not reach its agent within the boot deadline".to_owned(),
        ExitReason::Error(error) => format!("the microVM failed: {}", printable(error)),
    };
    match printable(tail) {
        tail if tail.is_empty() => format!("{what}; its console is empty"),
        tail => format!("{what}; the last lines of its console:\n{tail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_microvm_is_told_with_its_cause() {
        let failed = LastWords { failed: Some("open /dev/kvm: permission denied".into()), exited: None };
        assert_eq!(
            describe(&failed, None, Some(1)),
            "cannot start the microVM: open /dev/kvm: permission denied"
        );
        let silent = LastWords::default();
        assert_eq!(describe(&silent, Some(9), None), "the microVM monitor was killed by signal 9");
        assert!(describe(&silent, None, Some(1)).ends_with("exit status 1"));
        let panicked =
            LastWords { failed: None, exited: Some((ExitReason::Reset, "Kernel panic\x1b[0m\n".into())) };
        assert!(
            describe(&panicked, None, Some(0)).ends_with("the last lines of its console:\nKernel panic[0m")
        );
        assert_eq!(Death { reason: String::new(), signal: Some(9) }.exit_code(), 137);
        assert_eq!(Death { reason: String::new(), signal: None }.exit_code(), 125);
    }
}
