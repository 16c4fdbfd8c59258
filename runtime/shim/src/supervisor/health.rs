//! Health checks: a command run in the container now and then says how it does.
//!
//! What it writes is kept up to a bound and read on beyond it, so that a check that says much does not hang.

use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use oci_spec::runtime as oci;
use rustix::rand::{GetRandomFlags, getrandom};
use sandbox_protocol::FdStream;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::board::Board;
use super::order::{Answer, Ask, Orders};
use crate::calendar::now_ns;
use crate::isolation::{Exec, Failure, Process, Stdio};
use crate::plan::{self, Plan};
use crate::status::{Health, Probe, Verdict};

/// Kept of what a check says, bytes; Docker's.
const OUTPUT: usize = 4096;
/// Checks that are kept; Docker's.
const KEPT: usize = 5;
/// A check that was killed may take so long to end before it is given up.
const GRACE: Duration = Duration::from_secs(5);

/// Looks after the container that runs now; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins, if the plan wants it.
pub(crate) fn watch(plan: &Plan, orders: &Orders, board: &Rc<Board>) -> Option<Watch> {
    let health = plan.health.clone()?;
    let check = Check {
        process: plan.spec.process().clone().unwrap_or_default(),
        user: plan.user.clone(),
        extra_groups: plan.extra_groups.clone(),
        orders: orders.clone(),
        health,
    };
    let board = Rc::clone(board);
    Some(Watch(tokio::task::spawn_local(async move { check.run(&board).await })))
}

struct Check {
    process: oci::Process,
    user: String,
    extra_groups: Vec<String>,
    orders: Orders,
    health: plan::Health,
}

impl Check {
    async fn run(mut self, board: &Board) {
        let args = std::mem::take(&mut self.health.command);
        self.process.set_args(Some(args)).set_terminal(Some(false));
        let began = Instant::now();
        let period = Duration::from_nanos(self.health.start_period_ns);
        let mut state = Health::default();
        loop {
            let starting = state.verdict == Verdict::Starting && began.elapsed() < period;
            let pause = if starting { self.health.start_interval_ns } else { self.health.interval_ns };
            sleep(Duration::from_nanos(pause)).await;
            if board.is_paused() {
                continue;
            }
            let probe = self.probe().await;
            let forgiven = state.verdict == Verdict::Starting && began.elapsed() < period;
            state.judge(probe, forgiven, self.health.retries);
            board.health(state.clone());
        }
    }

    /// One check, whatever comes of it.
    async fn probe(&self) -> Probe {
        let start_ns = now_ns();
        let (exit_code, output) = match self.exec().await {
            Ok((name, process)) => self.follow(&name, process).await,
            Err(failure) => (-1, failure.message),
        };
        Probe { start_ns, end_ns: now_ns(), exit_code, output }
    }

    async fn exec(&self) -> Result<(String, Process), Failure> {
        let mut random = [0; 32];
        getrandom(&mut random, GetRandomFlags::empty())
            .map_err(|error| Failure::engine(format!("draw a name for the health check: {error}")))?;
        let name = random.iter().fold(String::new(), |mut name, byte| {
            // A String takes everything.
            let _ = write!(name, "{byte:02x}");
            name
        });
        let exec = Exec {
            name: name.clone(),
            process: self.process.clone(),
            user: self.user.clone(),
            extra_groups: self.extra_groups.clone(),
            stdio: Stdio::default(),
        };
        match self.orders.ask(Ask::Exec(Box::new(exec))).await? {
            Answer::Process(process) => Ok((name, process)),
            _ => Err(Failure::engine("the container made no process")),
        }
    }

    async fn follow(&self, name: &str, process: Process) -> (i32, String) {
        let Process { streams, mut exited, .. } = process;
        let mut output = Vec::new();
        let talk = async {
            // Both at once: a check that fills one of them must not wait for the other.
            let mut said = Vec::new();
            match streams.error {
                Some(error) => {
                    let mut complaints = Vec::new();
                    tokio::join!(listen(streams.output, &mut said), listen(error, &mut complaints));
                    said.extend(complaints);
                }
                None => listen(streams.output, &mut said).await,
            }
            said
        };
        let patience = Duration::from_nanos(self.health.timeout_ns);
        let done = timeout(patience, async {
            let (said, exit) = tokio::join!(talk, &mut exited);
            output = said;
            exit
        })
        .await;
        let code = match done {
            Ok(Ok(exit)) => i32::from(exit.code),
            Ok(Err(_)) => -1,
            Err(_) => {
                let kill = Ask::Signal { process: name.to_owned(), signal: libc::SIGKILL };
                let _ = self.orders.ask(kill).await;
                let _ = timeout(GRACE, exited).await;
                return (-1, format!("Health check exceeded timeout ({patience:?})"));
            }
        };
        output.truncate(OUTPUT);
        (code, String::from_utf8_lossy(&output).into_owned())
    }
}

/// Reads to the end and keeps the beginning.
async fn listen(mut from: FdStream, kept: &mut Vec<u8>) {
    let mut buffer = vec![0; OUTPUT];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = OUTPUT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}

impl Health {
    /// Takes the result of a check into account.
    fn judge(&mut self, probe: Probe, forgiven: bool, retries: u32) {
        if probe.exit_code == 0 {
            (self.verdict, self.failing_streak) = (Verdict::Healthy, 0);
        } else if !forgiven {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= retries {
                self.verdict = Verdict::Unhealthy;
            }
        }
        self.log.push(probe);
        let old = self.log.len().saturating_sub(KEPT);
        self.log.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let probe = |exit_code| Probe { exit_code, ..Probe::default() };
        let mut health = Health::default();
        health.judge(probe(1), true, 2);
        assert_eq!((health.verdict, health.failing_streak), (Verdict::Starting, 0));
        health.judge(probe(1), false, 2);
        assert_eq!((health.verdict, health.failing_streak), (Verdict::Starting, 1));
        health.judge(probe(-1), false, 2);
        assert_eq!(health.verdict, Verdict::Unhealthy);
        health.judge(probe(0), false, 2);
        assert_eq!((health.verdict, health.failing_streak), (Verdict::Healthy, 0));
        health.judge(probe(3), false, 2);
        assert_eq!(health.verdict, Verdict::Healthy, "one is not enough");
        for _ in 0..10 {
            health.judge(probe(0), false, 2);
        }
        assert_eq!(health.log.len(), KEPT);
    }
}
