//! Whoever is killed, nothing stays, and the next command works.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::{Place, eventually, text};

fn pid(child: &std::process::Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

#[test]
fn a_run_leaves_nothing() {
    let place = Place::new();
    let out =
        place.run(&["run", "--rm", "-v", "/anonymous", "localhost/busybox", "sh", "-c", "echo hi; exit 3"]);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(3), "hi\n".to_owned()), "{}", text(&out.stderr));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn without_rm_the_container_stays_and_its_name_with_it() {
    let place = Place::new();
    let run = |name| place.run(&["run", "--name", name, "localhost/busybox", "true"]);
    assert_eq!(run("kept").status.code(), Some(0));
    let second = run("kept");
    assert_eq!(second.status.code(), Some(125));
    assert!(text(&second.stderr).contains("The container name \"/kept\" is already in use by container"));
    assert_eq!(place.left().len(), 1, "the directory of the first");
}

#[test]
fn the_command_is_killed() {
    let place = Place::new();
    let mut child = place.started(&[], "sleep 1000");
    kill(pid(&child), Signal::SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    // The supervisor, which ends with its command, cleans up and is its own reaper at last.
    eventually("the end of everything", || place.left().is_empty());
    assert_eq!(place.run(&["images", "-q"]).status.code(), Some(0));
}

#[test]
fn the_supervisor_is_killed() {
    let place = Place::new();
    let child = place.started(&[], "sleep 1000");
    let supervisor = place.supervisors();
    assert_eq!(supervisor.len(), 1);
    kill(Pid::from_raw(supervisor[0]), Signal::SIGKILL).unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains("killed by SIGKILL"), "{}", text(&out.stderr));
    assert_eq!(place.left(), Vec::<String>::new(), "the command itself has cleaned up");
}

#[test]
fn both_are_killed() {
    let place = Place::new();
    let mut child = place.started(&[], "sleep 1000");
    let supervisor = place.supervisors();
    kill(pid(&child), Signal::SIGSTOP).unwrap();
    kill(Pid::from_raw(supervisor[0]), Signal::SIGKILL).unwrap();
    kill(pid(&child), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    eventually("the supervisor's end", || place.supervisors().is_empty());
    assert!(!place.left().is_empty());
    assert_eq!(place.run(&["run", "--rm", "localhost/busybox", "true"]).status.code(), Some(0));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn killed_at_many_moments_of_the_start() {
    let place = Place::new();
    assert_eq!(place.run(&["run", "--rm", "localhost/busybox", "true"]).status.code(), Some(0));
    for moment in 0..30 {
        let mut child = place.shell(&[], "sleep 1000").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(moment * 4));
        kill(pid(&child), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
    }
    // A command that is killed while it spawns leaves a supervisor that is seen only after its exec.
    eventually("the end of everything", || {
        assert_eq!(place.run(&["images"]).status.code(), Some(0));
        place.left().is_empty()
    });
}

#[test]
fn one_command_does_not_reap_anothers_container() {
    let place = Place::new();
    let child = place.started(&["-i"], "sleep 0.1; exit 5");
    for _ in 0..5 {
        assert_eq!(place.run(&["images"]).status.code(), Some(0));
    }
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(5));
}

#[test]
fn signals_are_the_containers() {
    let place = Place::new();
    let script = "trap 'echo usr1' USR1; trap 'exit 9' TERM; echo trap; while :; do sleep 0.05; done";
    let mut child = place.started(&[], script);
    let mut line = [0; 5];
    // Before its traps are set PID 1 takes no notice of signals.
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(&line, b"trap\n");
    kill(pid(&child), Signal::SIGUSR1).unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(&line, b"usr1\n");
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn without_sig_proxy_the_signal_is_ours() {
    let place = Place::new();
    let mut child = place.started(&["--sig-proxy=false"], "trap '' INT; sleep 1000");
    kill(pid(&child), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn twenty_at_once() {
    let place = Place::new();
    assert_eq!(place.run(&["run", "--rm", "localhost/busybox", "true"]).status.code(), Some(0));
    let children: Vec<_> = (0..20).map(|n| place.shell(&[], &format!("echo {n}")).spawn().unwrap()).collect();
    for (n, child) in children.into_iter().enumerate() {
        let out = child.wait_with_output().unwrap();
        assert_eq!(text(&out.stdout), format!("{n}\n"), "{}", text(&out.stderr));
    }
    assert_eq!(place.left(), Vec::<String>::new());
}
