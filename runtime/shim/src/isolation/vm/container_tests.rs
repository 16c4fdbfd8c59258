//! A container in a microVM whose monitor and agent the test plays.

use std::os::unix::net::UnixStream;
use std::process::{Child, Command as Program};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use oci_spec::runtime::{LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources};
use rustix::process::{Pid, PidfdFlags};
use sandbox_protocol::{Hello, Message, Request, VERSION, frame, message};
use sandbox_vmm::control::{Command, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::stamps::Stamps;

/// What is below the container.
struct Below {
    control: FdStream,
    agent: FdStream,
}

impl Below {
    async fn command(&mut self) -> Command {
        let mut packet = vec![0; 4096];
        let length = self.control.read(&mut packet).await.unwrap();
        serde_json::from_slice(&packet[..length]).unwrap()
    }

    async fn event(&mut self, event: &Event) {
        self.control.write_all(&serde_json::to_vec(event).unwrap()).await.unwrap();
    }

    async fn request(&mut self) -> (u64, request::Body) {
        let request: Request = frame::read(&mut self.agent, 1 << 20).await.unwrap().unwrap();
        (request.id, request.body.unwrap())
    }

    async fn answer(&mut self, id: u64, body: message::Body) {
        frame::write(&mut self.agent, &Message { id, body: Some(body) }).await.unwrap();
    }

    async fn done(&mut self, id: u64) {
        self.answer(id, message::Body::Done(protocol::Done { pid: 0 })).await;
    }

    /// Plays a pause to the point where the monitor is to answer.
    async fn last_words(&mut self) {
        let (id, body) = self.request().await;
        assert!(matches!(body, request::Body::Sync(_)));
        self.done(id).await;
        let (id, body) = self.request().await;
        assert!(matches!(body, request::Body::Stats(_)));
        let stats = protocol::Stats { cpu_usage_us: Some(7), ..protocol::Stats::default() };
        self.answer(id, message::Body::Stats(Box::new(stats))).await;
        let (id, body) = self.request().await;
        assert!(matches!(body, request::Body::Processes(_)));
        let list = vec![protocol::Process { pid: 5, comm: "a\x1b".into(), ..protocol::Process::default() }];
        let page = protocol::Processes { list, memory_total_bytes: 9, more: false };
        self.answer(id, message::Body::Processes(page)).await;
        assert!(matches!(self.command().await, Command::Pause));
    }

    async fn pause(&mut self) {
        self.last_words().await;
        self.event(&Event::Paused).await;
    }

    async fn resume(&mut self) {
        assert!(matches!(self.command().await, Command::Resume));
        self.event(&Event::Resumed).await;
    }
}

fn child() -> (Child, (Pid, std::os::fd::OwnedFd)) {
    let child = Program::new("sleep").arg("1000").spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).unwrap();
    (child, (pid, pidfd))
}

/// Runs `test` with a container of 512 MiB whose init is alive.
fn with_container<F: Future<Output = ()>>(still: bool, test: impl FnOnce(Rc<VmContainer>, Below) -> F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(still).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let plan = serde_json::json!({
            "id": "c", "isolation": "process", "spec": oci_spec::runtime::Spec::default(), "user": "",
            "rootfs": { "lower": [], "upper": path, "work": path, "volatile": true },
            "container_dir": path, "run_dir": path, "cgroup": null, "tty": false, "open_stdin": false,
            "remove": true, "tied": true, "stop_timeout_s": 1,
        });
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let (_child, process) = child();
        let (ours, control) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let monitor = Monitor::adopt(process, ours, Rc::new(Stamps::default())).unwrap();
        let (host, guest) = UnixStream::pair().unwrap();
        let mut below =
            Below { control: FdStream::new(control).unwrap(), agent: FdStream::new(guest.into()).unwrap() };
        frame::write(&mut below.agent, &Hello { version: VERSION, uptime_ns: 1 }).await.unwrap();
        let patience = Patience::new(Duration::ZERO);
        let listener = tokio::net::UnixListener::bind(path.join("streams")).unwrap();
        let streams = StreamListener::new(listener, 0, patience.clone());
        let connection = FdStream::new(host.into()).unwrap();
        let container = VmContainer::new(&plan, 512, monitor, connection, patience, streams);
        let _exited = container.agent.exited("");
        test(Rc::new(container), below).await;
    });
}

fn text(result: Result<impl Sized, Failure>) -> String {
    result.err().unwrap().message
}

#[test]
fn a_pause_ends_with_all_that_waited_for_its_end() {
    with_container(false, |container, mut below| async move {
        assert_eq!(text(container.resume().await), "Container c is not paused");
        let acknowledged = Cell::new(false);
        let pause = async {
            container.pause().await.unwrap();
            assert!(acknowledged.get(), "before the monitor said so");
        };
        tokio::join!(pause, async {
            below.last_words().await;
            tokio::task::yield_now().await;
            acknowledged.set(true);
            below.event(&Event::Paused).await;
        });
        assert_eq!(text(container.pause().await), "Container c is already paused");
        let exec = Exec {
            name: "x".into(),
            process: oci_spec::runtime::Process::default(),
            user: String::new(),
            extra_groups: Vec::new(),
            stdio: crate::isolation::Stdio::default(),
        };
        assert_eq!(
            text(container.exec(exec).await),
            "Container c is paused, unpause the container before exec"
        );
        // None of these needs the guest.
        container.signal("", libc::SIGTERM).await.unwrap();
        container.signal("", libc::SIGTERM).await.unwrap();
        container.resize("", 1, 2).await.unwrap();
        assert_eq!(container.stats().await.unwrap().container.stats.cpu_usage_usec, Some(7));
        let processes = container.processes().await.unwrap();
        assert_eq!((processes.list[0].comm.as_str(), processes.memory_total), ("a?", 9));
        let mut limits = LinuxResources::default();
        limits.set_pids(Some(LinuxPidsBuilder::default().limit(5).build().unwrap()));
        container.update(&Update { container: limits, ..Update::default() }).await.unwrap();
        // The guest has them before it runs on.
        let (resumed, ()) = tokio::join!(container.resume(), async {
            let (_, first) = below.request().await;
            assert!(matches!(first, request::Body::Signal(signal) if signal.signal == libc::SIGTERM));
            let (_, second) = below.request().await;
            assert!(matches!(second, request::Body::Resize(size) if (size.rows, size.cols) == (1, 2)));
            let (id, third) = below.request().await;
            assert!(matches!(third, request::Body::Update(_)));
            below.resume().await;
            let failed = protocol::Failed { message: "no pids controller".into(), exit_code: 125 };
            below.answer(id, message::Body::Failed(failed)).await;
        });
        let failure = text(resumed);
        assert!(
            failure.contains("runs again, but not with the limits")
                && failure.ends_with("no pids controller")
        );
        assert_eq!(text(container.resume().await), "Container c is not paused");
        // It can be paused again.
        let (paused, ()) = tokio::join!(container.pause(), below.pause());
        paused.unwrap();
        let (resumed, ()) = tokio::join!(container.resume(), below.resume());
        resumed.unwrap();
    });
}

#[test]
fn a_request_under_way_when_a_pause_begins_holds_nobody_up() {
    with_container(false, |container, mut below| async move {
        let signal = container.signal("", libc::SIGUSR1);
        let (signalled, paused, id) = tokio::join!(signal, container.pause(), async {
            let (id, body) = below.request().await;
            assert!(matches!(body, request::Body::Signal(_)));
            // Unanswered.
            below.pause().await;
            id
        });
        signalled.unwrap();
        paused.unwrap();
        let (resumed, ()) = tokio::join!(container.resume(), below.resume());
        resumed.unwrap();
        below.done(id).await;
    });
}

#[test]
fn a_kill_wakes_a_paused_machine() {
    for init in [false, true] {
        with_container(false, |container, mut below| async move {
            let (paused, ()) = tokio::join!(container.pause(), below.pause());
            paused.unwrap();
            let kill = async {
                if init { container.signal("", libc::SIGKILL).await.unwrap() } else { container.kill().await }
            };
            tokio::join!(kill, async {
                let (id, body) = below.request().await;
                assert!(matches!(body, request::Body::Signal(signal) if signal.all && signal.signal == 9));
                below.resume().await;
                below.done(id).await;
            });
            assert_eq!(text(container.resume().await), "Container c is not paused");
        });
    }
}

#[test]
fn a_kill_ends_a_pause_that_is_not_in_force_yet() {
    with_container(false, |container, mut below| async move {
        let (paused, (), ()) = tokio::join!(
            container.pause(),
            async {
                while container.paused.borrow().is_none() {
                    tokio::task::yield_now().await;
                }
                container.kill().await;
            },
            async {
                below.last_words().await;
                let (id, _) = below.request().await;
                below.resume().await;
                below.done(id).await;
            }
        );
        assert!(text(paused).contains("killed while it was being paused"));
    });
}

#[test]
fn a_monitor_that_does_not_answer_is_told_to_run_on() {
    with_container(true, |container, mut below| async move {
        // The agent is silent, too.
        let paused = container.pause().await;
        assert!(text(paused).contains("did not stop all processors within 10s"));
        assert!(matches!(below.command().await, Command::Pause));
        assert!(matches!(below.command().await, Command::Resume));
        assert!(container.paused.borrow().is_none());
    });
}

#[test]
fn memory_goes_to_the_balloon_after_the_guest_has_less_and_comes_back_before_it_has_more() {
    with_container(false, |container, mut below| async move {
        let update = |container: i64, machine: u64| {
            let mut limits = LinuxResources::default();
            limits.set_memory(Some(LinuxMemoryBuilder::default().limit(container << 20).build().unwrap()));
            Update { container: limits, monitor: None, memory_mib: Some(machine) }
        };
        let (updated, ()) = tokio::join!(async { container.update(&update(64, 114)).await }, async {
            let (id, body) = below.request().await;
            let request::Body::Update(limits) = body else { panic!("{body:?}") };
            assert!(String::from_utf8(limits.resources).unwrap().contains("67108864"));
            below.done(id).await;
            assert!(matches!(below.command().await, Command::Balloon { mib: 398 }));
            below.event(&Event::Balloon { target_mib: 398, actual_mib: 0 }).await;
        });
        updated.unwrap();
        let (updated, ()) = tokio::join!(async { container.update(&update(464, 512)).await }, async {
            assert!(matches!(below.command().await, Command::Balloon { mib: 0 }));
            below.event(&Event::Balloon { target_mib: 0, actual_mib: 398 }).await;
            let (id, _) = below.request().await;
            below.done(id).await;
        });
        updated.unwrap();
        let more = text(container.update(&update(600, 700)).await);
        assert!(
            more.contains("needs 700 MiB")
                && more.contains("booted with 512 MiB")
                && more.contains("larger -m"),
            "{more}"
        );
        assert!(text(container.update(&update(600, 500)).await).contains("needs 600 MiB"));
        assert!(text(container.update(&update(1, 10)).await).contains("need 48"));
    });
}

#[test]
fn lists_of_a_hostile_agent_are_bounded() {
    let page = |pids: std::ops::Range<i32>| {
        let process =
            |pid| protocol::Process { pid, args: "\x1b[2J".repeat(2000), ..protocol::Process::default() };
        message::Body::Processes(protocol::Processes {
            list: pids.map(process).collect(),
            memory_total_bytes: 1,
            more: true,
        })
    };
    with_container(false, |container, mut below| async move {
        // For ever.
        let (listed, count) = tokio::join!(container.processes(), async {
            for number in 0..128 {
                let (id, body) = below.request().await;
                assert!(matches!(body, request::Body::Processes(asked) if asked.after == number));
                below.answer(id, page(number + 1..number + 2)).await;
            }
            128
        });
        let listed = listed.unwrap();
        assert_eq!((listed.list.len(), listed.more), (count, true));
        assert!(
            listed.list.iter().all(|process| process.args.len() == 4096 && !process.args.contains('\x1b'))
        );
        // Backwards.
        let (listed, ()) = tokio::join!(container.processes(), async {
            let (id, _) = below.request().await;
            below.answer(id, page(3..5)).await;
            let (id, _) = below.request().await;
            below.answer(id, page(4..6)).await;
        });
        assert!(text(listed).contains("something else than was asked"));
        // Something else.
        let (listed, ()) = tokio::join!(container.processes(), async {
            let (id, _) = below.request().await;
            below.done(id).await;
        });
        assert!(text(listed).contains("something else than was asked"));
    });
}
