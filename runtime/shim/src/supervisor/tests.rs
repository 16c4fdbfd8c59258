//! The supervisor above an isolation that is made of the test's own descriptors.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use oci_spec::runtime::Spec;
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox_container::Processes;
use sandbox_protocol::FdStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::*;
use crate::isolation::{Exec, Figures, Process, Running, Streams, Update};
use crate::plan::{IsolationPlan, Restart, Rootfs};
use crate::status::{Phase, Status};
use crate::wire::{self, Attach, Request, STDIN_WINDOW};
use crate::{frame, status};

/// The container's side of everything.
struct Inside {
    stdin: FdStream,
    stdout: FdStream,
    stderr: FdStream,
    exit: Option<oneshot::Sender<Exit>>,
}

/// What was asked of the fake, in order.
type Calls = Rc<RefCell<Vec<String>>>;

/// Every start takes the next outcome.
struct Fake {
    outcomes: VecDeque<Result<Process, Failure>>,
    calls: Calls,
    /// Never finishes to start.
    stuck: bool,
}

struct Once {
    outcome: Result<Process, Failure>,
    calls: Calls,
    stuck: bool,
}

impl Ground for Fake {
    type Isolation = Once;

    fn lay(&mut self) -> Result<(Once, OwnedFd), Failure> {
        let outcome = self.outcomes.pop_front().expect("a start more than the test knows");
        let rootfs = OwnedFd::from(std::fs::File::open("/").unwrap());
        Ok((Once { outcome, calls: Rc::clone(&self.calls), stuck: self.stuck }, rootfs))
    }

    fn clear(&mut self) {
        self.calls.borrow_mut().push("clear".into());
    }
}

#[derive(Clone)]
struct FakeRunning {
    calls: Calls,
    /// What a kill ends the process with.
    kill: Rc<RefCell<Option<oneshot::Sender<Exit>>>>,
}

impl Isolation for Once {
    type Running = FakeRunning;

    async fn start(self, _: Start<'_>) -> Result<(FakeRunning, Process), Failure> {
        if self.stuck {
            std::future::pending::<()>().await;
        }
        let mut process = self.outcome?;
        // The process ends by the test or by a kill, whichever comes first.
        let (kill, killed) = oneshot::channel();
        let (sender, exited) = oneshot::channel();
        let by_itself = std::mem::replace(&mut process.exited, exited);
        tokio::task::spawn_local(async move {
            let exit = tokio::select! { Ok(exit) = by_itself => exit, Ok(exit) = killed => exit };
            let _ = sender.send(exit);
        });
        Ok((FakeRunning { calls: self.calls, kill: Rc::new(RefCell::new(Some(kill))) }, process))
    }
}

impl Running for FakeRunning {
    async fn exec(&self, _: Exec) -> Result<Process, Failure> {
        Err(Failure::engine("a fake"))
    }

    async fn signal(&self, process: &str, signal: i32) -> Result<(), Failure> {
        self.calls.borrow_mut().push(format!("signal {process:?} {signal}"));
        Ok(())
    }

    async fn kill(&self) {
        self.calls.borrow_mut().push("kill".into());
        if let Some(kill) = self.kill.take() {
            let _ = kill.send(Exit { code: 137, oom_killed: false, error: None });
        }
    }

    async fn resize(&self, _: &str, rows: u16, cols: u16) -> Result<(), Failure> {
        self.calls.borrow_mut().push(format!("resize {rows}x{cols}"));
        Ok(())
    }

    async fn pause(&self) -> Result<(), Failure> {
        self.calls.borrow_mut().push("pause".into());
        Ok(())
    }

    async fn resume(&self) -> Result<(), Failure> {
        self.calls.borrow_mut().push("resume".into());
        Ok(())
    }

    async fn update(&self, update: &Update) -> Result<(), Failure> {
        self.calls.borrow_mut().push(format!("update memory_mib={:?}", update.memory_mib));
        Ok(())
    }

    async fn processes(&self) -> Result<Processes, Failure> {
        Ok(Processes::default())
    }

    async fn stats(&self) -> Result<Figures, Failure> {
        Ok(Figures::default())
    }

    async fn archive(&self, _: String, _: sandbox_container::archive::Archive) -> Result<Process, Failure> {
        Err(Failure::engine("a fake"))
    }

    async fn sync(&self) -> Result<(), Failure> {
        self.calls.borrow_mut().push("sync".into());
        Ok(())
    }

    async fn stop(self, durable: bool) -> Result<(), Failure> {
        self.calls.borrow_mut().push(format!("stop durable={durable}"));
        Ok(())
    }
}

fn plan(directory: &std::path::Path) -> Plan {
    Plan {
        joins: Vec::new(),
        id: "c".repeat(64),
        isolation: IsolationPlan::Process,
        spec: Spec::default(),
        user: String::new(),
        extra_groups: Vec::new(),
        rootfs: Rootfs { lower: Vec::new(), upper: "/u".into(), work: "/w".into(), volatile: false },
        container_dir: directory.to_owned(),
        run_dir: directory.to_owned(),
        cgroup: None,
        tty: false,
        rows: 0,
        cols: 0,
        open_stdin: true,
        init: false,
        remove: false,
        tied: true,
        stop_signal: libc::SIGTERM,
        stop_timeout_s: 0,
        primary_stdin: true,
        stdin_once: true,
        restart: Restart::No,
        log: crate::log::LogPlan { driver: "none".to_owned(), ..crate::log::LogPlan::default() },
        events: None,
        health: None,
        timeout_s: None,
        reaper: Vec::new(),
    }
}

fn pipe() -> (FdStream, FdStream) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (FdStream::new(reader).unwrap(), FdStream::new(writer).unwrap())
}

fn process() -> (Process, Inside) {
    let (stdin, input) = pipe();
    let (output, stdout) = pipe();
    let (error, stderr) = pipe();
    let (exit, exited) = oneshot::channel();
    let streams = Streams { input: Some(input), output, error: Some(error) };
    (Process { pid: 7, streams, exited }, Inside { stdin, stdout, stderr, exit: Some(exit) })
}

/// A client's end of a connection.
struct Remote(FdStream);

impl Remote {
    async fn send(&mut self, kind: u8, payload: &[u8]) {
        frame::write(&mut self.0, kind, payload).await.unwrap();
    }

    async fn request(&mut self, request: &Request) {
        self.send(wire::REQUEST, &serde_json::to_vec(request).unwrap()).await;
    }

    async fn next(&mut self) -> (u8, Vec<u8>) {
        let mut payload = Vec::new();
        let kind = frame::read(&mut self.0, &mut payload).await.unwrap().expect("a frame");
        (kind, payload)
    }

    async fn notice(&mut self) -> Notice {
        let (kind, payload) = self.next().await;
        assert_eq!(kind, wire::NOTICE, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }
}

struct Scene {
    remote: Option<Remote>,
    inside: Inside,
    /// The containers of the starts after the first.
    later: VecDeque<Inside>,
    calls: Calls,
    directory: std::path::PathBuf,
}

impl Scene {
    fn remote(&mut self) -> &mut Remote {
        self.remote.as_mut().unwrap()
    }

    async fn wait_for_call(&self, wanted: &str) {
        while !self.calls.borrow().iter().any(|call| call == wanted) {
            tokio::task::yield_now().await;
        }
    }

    /// Another client, which says what it wants.
    async fn connect(&self, request: &Request) -> Remote {
        let stream = UnixStream::connect(self.directory.join("socket")).unwrap();
        let mut remote = Remote(FdStream::new(stream.into()).unwrap());
        remote.request(request).await;
        remote
    }

    fn status(&self) -> Status {
        status::read(&self.directory).unwrap().unwrap()
    }
}

/// Starts that the tests know of.
const STARTS: usize = 4;

/// Supervises a fake while `test` plays clients and container; returns what the supervisor returned.
fn supervised<F: Future<Output = ()>>(
    change: impl FnOnce(&mut Plan, &mut Fake),
    test: impl FnOnce(Scene) -> F,
) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let directory = tempfile::tempdir().unwrap();
        let mut plan = plan(directory.path());
        let (ours, theirs) = UnixStream::pair().unwrap();
        let clients = Clients {
            primary: Some(FdStream::new(ours.into()).unwrap()),
            listener: Some(UnixListener::bind(directory.path().join("socket")).unwrap()),
        };
        let stamps = Rc::new(Stamps::default());
        let calls = Calls::default();
        let (processes, mut insides): (Vec<_>, VecDeque<_>) = (0..STARTS).map(|_| process()).unzip();
        let outcomes = processes.into_iter().map(Ok).collect();
        let mut fake = Fake { outcomes, calls: Rc::clone(&calls), stuck: false };
        change(&mut plan, &mut fake);
        let scene = Scene {
            remote: Some(Remote(FdStream::new(theirs.into()).unwrap())),
            inside: insides.pop_front().unwrap(),
            later: insides,
            calls,
            directory: directory.path().to_owned(),
        };
        let mut terminate = signal(SignalKind::user_defined2()).unwrap();
        let supervised = async { supervise(fake, &plan, clients, &mut terminate, &stamps).await.0 };
        tokio::join!(supervised, test(scene)).0
    })
}

fn code(code: u8) -> Exit {
    Exit { code, oom_killed: false, error: None }
}

#[test]
fn streams_are_relayed_and_all_output_comes_before_the_exit() {
    let exit = supervised(
        |_, _| {},
        |mut world| async move {
            assert!(matches!(world.remote().notice().await, Notice::Started { pid: 7 }));
            world.remote().send(wire::STDIN, b"question").await;
            world.remote().send(wire::STDIN, b"").await;
            let mut question = String::new();
            world.inside.stdin.read_to_string(&mut question).await.unwrap();
            assert_eq!(question, "question");
            world.inside.stdout.write_all(b"answer").await.unwrap();
            world.inside.stderr.write_all(b"oops").await.unwrap();
            // The process is gone before its output is read.
            world.inside.exit.take().unwrap().send(code(42)).unwrap();
            let Inside { stdout, stderr, .. } = world.inside;
            drop((stdout, stderr));
            let (mut output, mut error, mut ends) = (Vec::new(), Vec::new(), 0);
            let mut remote = world.remote.unwrap();
            let exit = loop {
                let (kind, payload) = remote.next().await;
                match kind {
                    wire::STDOUT | wire::STDERR if payload.is_empty() => ends += 1,
                    wire::STDOUT => output.extend(payload),
                    wire::STDERR => error.extend(payload),
                    wire::STDIN_CREDIT => assert_eq!(payload, 8_u32.to_le_bytes()),
                    _ => break serde_json::from_slice::<Notice>(&payload).unwrap(),
                }
            };
            assert_eq!(
                (output.as_slice(), error.as_slice(), ends),
                (b"answer".as_slice(), b"oops".as_slice(), 2)
            );
            assert!(matches!(exit, Notice::Exited(exit) if exit == code(42)));
            let status = status::read(&world.directory).unwrap().unwrap();
            assert_eq!((status.phase, status.exit), (Phase::Exited, Some(code(42))));
            assert!(world.calls.borrow().starts_with(&["stop durable=true".into()]));
        },
    );
    assert_eq!(exit, code(42));
}

#[test]
fn a_container_that_does_not_read_stops_the_input_but_not_the_signals() {
    supervised(
        |_, _| {},
        |mut world| async move {
            world.remote().notice().await;
            let chunk = vec![1; STDIN_WINDOW / 8];
            for _ in 0..8 {
                world.remote().send(wire::STDIN, &chunk).await;
            }
            world.remote().request(&Request::Signal { signal: 2 }).await;
            world.remote().request(&Request::Resize { rows: 24, cols: 80 }).await;
            world.wait_for_call("resize 24x80").await;
            assert_eq!(*world.calls.borrow(), ["signal \"\" 2", "resize 24x80"]);
            // The pipe is full and the rest waits: nothing was given back yet.
            let mut taken = vec![0; STDIN_WINDOW];
            world.inside.stdin.read_exact(&mut taken).await.unwrap();
            let mut credit = 0;
            while credit < STDIN_WINDOW {
                let (kind, payload) = world.remote().next().await;
                assert_eq!(kind, wire::STDIN_CREDIT);
                credit += u32::from_le_bytes(payload.try_into().unwrap()) as usize;
            }
            assert_eq!(credit, STDIN_WINDOW);
            world.inside.exit.take().unwrap().send(code(0)).unwrap();
        },
    );
}

#[test]
fn a_client_that_sends_more_than_its_window_loses_the_container() {
    let exit = supervised(
        |_, _| {},
        |mut world| async move {
            world.remote().notice().await;
            for _ in 0..9 {
                world.remote().send(wire::STDIN, &vec![1; STDIN_WINDOW / 8]).await;
            }
            world.wait_for_call("kill").await;
        },
    );
    assert_eq!(exit, code(137));
}

#[test]
fn a_client_that_does_not_read_holds_the_container_and_not_memory() {
    supervised(
        |_, _| {},
        |mut world| async move {
            world.remote().notice().await;
            let total = 4 << 20;
            let mut stdout = world.inside.stdout.clone();
            let writer = tokio::task::spawn_local(async move {
                stdout.write_all(&vec![5; total]).await.unwrap();
            });
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            assert!(!writer.is_finished(), "somebody took 4 MiB");
            let mut got = 0;
            while got < total {
                let (kind, payload) = world.remote().next().await;
                assert_eq!(kind, wire::STDOUT);
                got += payload.len();
            }
            writer.await.unwrap();
            world.inside.exit.take().unwrap().send(code(0)).unwrap();
        },
    );
}

#[test]
fn a_tied_container_ends_with_its_client_and_a_detached_one_does_not() {
    let exit = supervised(
        |_, _| {},
        |mut world| async move {
            world.remote().notice().await;
            drop(world.remote.take());
            world.wait_for_call("kill").await;
        },
    );
    assert_eq!(exit, code(137));
    let exit = supervised(
        |_, _| {},
        |mut world| async move {
            world.remote().notice().await;
            world.remote().request(&Request::Detach).await;
            drop(world.remote.take());
            // Its stdin ends, its output goes nowhere, and it ends by itself.
            assert_eq!(world.inside.stdin.read(&mut [0; 8]).await.unwrap(), 0);
            world.inside.stdout.write_all(&vec![0; 1 << 20]).await.unwrap();
            world.inside.exit.take().unwrap().send(code(3)).unwrap();
        },
    );
    assert_eq!(exit, code(3));
}

#[test]
fn a_start_that_fails_is_told_with_its_code() {
    let exit = supervised(
        |_, fake| {
            fake.outcomes[0] = Err(Failure { message: "exec: \"x\": not found".into(), exit_code: 127 });
        },
        |mut world| async move {
            let notice = world.remote().notice().await;
            assert!(
                matches!(notice, Notice::StartFailed { exit_code: 127, message } if message.contains("\"x\""))
            );
            assert_eq!(world.status().started_ns, None);
        },
    );
    assert_eq!(exit.code, 127);
}

#[test]
fn a_client_that_leaves_during_the_start_ends_it() {
    let exit = supervised(|_, fake| fake.stuck = true, |mut world| async move { drop(world.remote.take()) });
    assert_eq!(exit.code, 125);
    assert!(exit.error.unwrap().contains("went away"));
}

#[test]
fn what_is_asked_before_the_start_is_done_after_it() {
    supervised(
        |plan, _| plan.remove = true,
        |mut world| async move {
            world.remote().request(&Request::Resize { rows: 1, cols: 2 }).await;
            world.remote().request(&Request::Signal { signal: 15 }).await;
            world.wait_for_call("signal \"\" 15").await;
            world.wait_for_call("resize 1x2").await;
            let Inside { stdout, stderr, exit, .. } = world.inside;
            exit.unwrap().send(code(0)).unwrap();
            drop((stdout, stderr));
            while world.calls.borrow().last().is_none_or(|call| call != "clear") {
                tokio::task::yield_now().await;
            }
        },
    );
}

#[test]
fn output_that_something_outside_holds_open_ends_after_a_while() {
    let runtime_is_paused = |world: Scene| async move {
        tokio::time::pause();
        let Inside { stdout, exit, .. } = world.inside;
        let mut held = stdout.clone();
        held.write_all(b"last").await.unwrap();
        exit.unwrap().send(code(0)).unwrap();
        let mut remote = world.remote.unwrap();
        let mut got = Vec::new();
        while !matches!(remote.next().await, (wire::NOTICE, payload) if payload.windows(6).any(|w| w == b"exited"))
        {
            got.push(());
        }
        assert!(got.len() >= 3, "the start, the bytes and the ends");
        drop(held);
    };
    assert_eq!(supervised(|_, _| {}, runtime_is_paused), code(0));
}

#[test]
fn several_clients_see_the_same_and_write_to_one_stdin() {
    let streams = Attach { stdin: true, stdout: true, stderr: false };
    supervised(
        |plan, _| (plan.tied, plan.stdin_once) = (false, false),
        |mut world| async move {
            world.remote().notice().await;
            drop(world.remote.take());
            let mut one = world.connect(&Request::Attach(streams)).await;
            let mut two = world.connect(&Request::Attach(streams)).await;
            assert!(matches!(one.notice().await, Notice::Done));
            assert!(matches!(two.notice().await, Notice::Done));
            one.send(wire::STDIN, b"1").await;
            one.send(wire::STDIN, b"").await;
            let mut taken = [0; 1];
            world.inside.stdin.read_exact(&mut taken).await.unwrap();
            two.send(wire::STDIN, b"2").await;
            world.inside.stdin.read_exact(&mut taken).await.unwrap();
            assert_eq!(&taken, b"2", "an end of one client is not the container's");
            world.inside.stderr.write_all(b"not asked for").await.unwrap();
            world.inside.stdout.write_all(b"seen").await.unwrap();
            for remote in [&mut one, &mut two] {
                let output = loop {
                    match remote.next().await {
                        (wire::STDIN_CREDIT, _) => {}
                        other => break other,
                    }
                };
                assert_eq!(output, (wire::STDOUT, b"seen".to_vec()));
            }
            let Inside { stdout, stderr, exit, .. } = world.inside;
            exit.unwrap().send(code(5)).unwrap();
            drop((stdout, stderr));
            for remote in [&mut one, &mut two] {
                while !matches!(remote.next().await, (wire::NOTICE, payload) if payload.windows(6).any(|w| w == b"exited"))
                {
                }
            }
        },
    );
}

#[test]
fn a_stalled_client_is_left_behind() {
    let exit = supervised(
        |plan, _| plan.tied = false,
        |mut world| async move {
            world.remote().notice().await;
            drop(world.remote.take());
            let streams = Attach { stdin: false, stdout: true, stderr: true };
            let mut stalled = world.connect(&Request::Attach(streams)).await;
            stalled.notice().await;
            tokio::time::pause();
            world.inside.stdout.write_all(&vec![0; 8 << 20]).await.unwrap();
            let Inside { stdout, stderr, exit, .. } = world.inside;
            drop((stdout, stderr));
            exit.unwrap().send(code(0)).unwrap();
        },
    );
    assert_eq!(exit, code(0));
}

#[test]
fn a_policy_starts_it_again_until_somebody_stops_it() {
    let exit = supervised(
        |plan, _| plan.restart = Restart::Always,
        |mut world| async move {
            assert!(matches!(world.remote().notice().await, Notice::Started { .. }));
            tokio::time::pause();
            let first = world.inside;
            first.exit.unwrap().send(code(3)).unwrap();
            drop((first.stdout, first.stderr));
            let mut remote = world.remote.take().unwrap();
            let mut seen = Vec::new();
            loop {
                let mut payload = Vec::new();
                match frame::read(&mut remote.0, &mut payload).await {
                    Ok(Some(wire::NOTICE)) => {
                        seen.push(serde_json::from_slice::<serde_json::Value>(&payload).unwrap());
                    }
                    Ok(Some(_)) => {}
                    _ => break,
                }
            }
            let kinds: Vec<_> = seen.iter().map(|notice| notice["notice"].as_str().unwrap()).collect();
            assert_eq!(kinds, ["restarting", "exited"], "and then it was released");
            while status::read(&world.directory).unwrap().unwrap().phase != Phase::Running {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let status = status::read(&world.directory).unwrap().unwrap();
            assert_eq!((status.restarts, status.exit), (1, Some(code(3))));
            let mut second = world.later.pop_front().unwrap();
            let stop = Request::Stop { signal: Some(libc::SIGUSR1), timeout_s: Some(60), keep: false };
            let stream = UnixStream::connect(world.directory.join("socket")).unwrap();
            let mut stopper = Remote(FdStream::new(stream.into()).unwrap());
            stopper.request(&stop).await;
            let wanted = format!("signal \"\" {}", libc::SIGUSR1);
            while !world.calls.borrow().contains(&wanted) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            second.exit.take().unwrap().send(code(4)).unwrap();
            drop((second.stdout, second.stderr));
            assert!(matches!(stopper.notice().await, Notice::Done));
            let status = status::read(&world.directory).unwrap().unwrap();
            assert_eq!((status.phase, status.stopped), (Phase::Exited, true));
        },
    );
    assert_eq!(exit, code(4));
}

#[test]
fn another_policy_counts_from_the_next_end_on() {
    let exit = supervised(
        |plan, _| plan.restart = Restart::Always,
        |mut world| async move {
            assert!(matches!(world.remote().notice().await, Notice::Started { .. }));
            let stream = UnixStream::connect(world.directory.join("socket")).unwrap();
            let mut updater = Remote(FdStream::new(stream.into()).unwrap());
            updater.request(&Request::Policy { restart: Restart::No }).await;
            assert!(matches!(updater.notice().await, Notice::Done));
            let Inside { stdout, stderr, exit, .. } = world.inside;
            drop((stdout, stderr));
            exit.unwrap().send(code(3)).unwrap();
            while status::read(&world.directory).unwrap().unwrap().phase != Phase::Exited {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        },
    );
    assert_eq!(exit, code(3));
}

#[test]
fn a_policy_does_not_outlive_the_command_that_the_container_is_tied_to() {
    let exit = supervised(
        |plan, _| plan.restart = Restart::Always,
        |mut world| async move {
            world.remote().notice().await;
            let Inside { stdout, stderr, .. } = world.inside;
            drop((world.remote.take(), stdout, stderr));
            while !world.calls.borrow().contains(&"clear".to_owned()) {
                tokio::task::yield_now().await;
            }
            let status = status::read(&world.directory).unwrap().unwrap();
            assert_eq!((status.phase, status.restarts, status.stopped), (Phase::Exited, 0, false));
        },
    );
    assert_eq!(exit, code(137));
}

#[test]
fn a_container_that_does_not_take_its_stop_signal_is_killed() {
    let exit = supervised(
        |plan, _| plan.tied = false,
        |mut world| async move {
            world.remote().notice().await;
            let mut stopper =
                world.connect(&Request::Stop { signal: None, timeout_s: Some(10), keep: false }).await;
            world.wait_for_call("signal \"\" 15").await;
            tokio::time::pause();
            assert!(!world.calls.borrow().contains(&"kill".to_owned()));
            let Inside { stdout, stderr, .. } = world.inside;
            drop((stdout, stderr));
            assert!(matches!(stopper.notice().await, Notice::Done));
            assert!(world.calls.borrow().contains(&"kill".to_owned()));
        },
    );
    assert_eq!(exit, code(137));
}

#[test]
fn who_waits_learns_the_code_and_a_request_of_another_version_is_answered() {
    supervised(
        |plan, _| plan.tied = false,
        |mut world| async move {
            world.remote().notice().await;
            let mut waiter = world.connect(&Request::Wait).await;
            assert!(matches!(waiter.notice().await, Notice::Done));
            let stream = UnixStream::connect(world.directory.join("socket")).unwrap();
            let mut newer = Remote(FdStream::new(stream.into()).unwrap());
            newer.send(wire::REQUEST, br#"{"op":"levitate"}"#).await;
            let notice = newer.notice().await;
            assert!(
                matches!(&notice, Notice::Failed { message, .. } if message.contains("levitate") && message.contains("restart the container")),
                "{notice:?}"
            );
            let Inside { stdout, stderr, exit, .. } = world.inside;
            exit.unwrap().send(code(9)).unwrap();
            drop((stdout, stderr));
            assert!(matches!(waiter.notice().await, Notice::Exited(exit) if exit == code(9)));
        },
    );
}
