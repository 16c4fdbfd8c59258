//! Nothing is left behind: by many at once, or by any of our processes killed in the middle.

mod boot;
mod many;
mod storm;

use std::io::Read;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{HostState, OurProcess, Sandbox};

/// A directory with a root in it; what a failed test left to run there ends with it.
struct OwnRoot {
    dir: tempfile::TempDir,
}

impl Drop for OwnRoot {
    fn drop(&mut self) {
        let sandbox = Sandbox::at(self.dir.path());
        let left = sandbox.sandbox(["ps", "-aq"]).stdout;
        if !left.is_empty() {
            sandbox.sandbox(["rm", "-f"].into_iter().chain(left.lines()));
        }
    }
}

/// A root of its own with one image, so that other tests' containers do not count.
fn own_root() -> (OwnRoot, Sandbox) {
    let dir = tempfile::TempDir::new_in(sandbox_tests::scratch()).unwrap();
    let sandbox = Sandbox::at(dir.path());
    sandbox.run(Process, ["localhost/busybox", "true"]).expect_code(0);
    (OwnRoot { dir }, sandbox)
}

#[rstest]
fn twenty_at_once(#[values(Process, Vm)] isolation: Isolation) {
    let (_dir, sandbox) = own_root();
    let before = HostState::of(&sandbox);
    let runs: Vec<_> =
        (0..20).map(|i| sandbox.start(isolation, ["localhost/busybox", "echo", &i.to_string()])).collect();
    for (i, run) in runs.into_iter().enumerate() {
        assert_eq!(run.finish().expect_code(0).stdout, format!("{i}\n"));
    }
    assert_eq!(HostState::of(&sandbox), before);
}

#[rstest]
#[case::command("sandbox")]
#[case::shim("sandbox-shim")]
#[case::monitor("sandbox-vmm")]
fn killed_in_the_middle(#[values(Process, Vm)] isolation: Isolation, #[case] victim: &str) {
    if isolation == Process && victim == "sandbox-vmm" {
        return; // there is none
    }
    let (_dir, sandbox) = own_root();
    let before = HostState::of(&sandbox);
    let mut run = sandbox.start(isolation, ["localhost/busybox", "sh", "-c", "echo up; sleep 1000"]);
    let mut up = [0; 3];
    run.0.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    kill(OurProcess::named(&sandbox, victim).unwrap_or_else(|| panic!("no {victim}")), Signal::SIGKILL)
        .unwrap();
    let out = run.finish();
    if victim == "sandbox" {
        assert_eq!(out.code, 137);
    } else {
        assert!(out.code == 125 || out.code == 137, "{}", out.code);
        assert!(!out.stderr.trim().is_empty(), "the user is not told");
    }
    // The others end on their own; the next command removes what they could not.
    let end = Instant::now() + Duration::from_secs(30);
    while OurProcess::named(&sandbox, "sandbox-shim")
        .or_else(|| OurProcess::named(&sandbox, "sandbox-vmm"))
        .is_some()
    {
        assert!(Instant::now() < end, "processes outlive their owner");
        std::thread::sleep(Duration::from_millis(50));
    }
    sandbox.run(isolation, ["localhost/busybox", "true"]).expect_code(0);
    assert_eq!(HostState::of(&sandbox), before);
}

#[rstest]
#[case::term(Signal::SIGTERM, 143)]
#[case::int(Signal::SIGINT, 130)]
fn signals_are_forwarded(
    #[values(Process, Vm)] isolation: Isolation,
    #[case] signal: Signal,
    #[case] code: i32,
) {
    let script = "trap 'exit 143' TERM; trap 'exit 130' INT; echo up; while :; do sleep 0.1; done";
    let mut run = Sandbox::shared().start(isolation, ["alpine", "sh", "-c", script]);
    let mut up = [0; 3];
    run.0.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    kill(Pid::from_raw(run.0.id().cast_signed()), signal).unwrap();
    run.finish().expect_code(code);
}

#[rstest]
fn interrupted_at_any_moment(#[values(Process, Vm)] isolation: Isolation) {
    let (_dir, sandbox) = own_root();
    let before = HostState::of(&sandbox);
    for round in 0..10 {
        let run = sandbox.start(isolation, ["localhost/busybox", "sleep", "1000"]);
        std::thread::sleep(Duration::from_millis(round * 60));
        let pid = Pid::from_raw(run.0.id().cast_signed());
        kill(pid, Signal::SIGKILL).unwrap();
        run.finish().expect_code(137);
    }
    let end = Instant::now() + Duration::from_secs(30);
    while OurProcess::named(&sandbox, "sandbox-shim")
        .or_else(|| OurProcess::named(&sandbox, "sandbox-vmm"))
        .is_some()
    {
        assert!(Instant::now() < end, "processes outlive their owner");
        std::thread::sleep(Duration::from_millis(50));
    }
    sandbox.run(isolation, ["localhost/busybox", "true"]).expect_code(0);
    assert_eq!(HostState::of(&sandbox), before);
}
