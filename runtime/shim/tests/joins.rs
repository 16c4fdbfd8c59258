//! A container that lives in namespaces of another one, each with a supervisor of its own. Needs root, and process
//! isolation: a microVM has nothing of its own on this host to lend.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod support;

use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType as Type, MountBuilder};
use sandbox_shim::plan::{IsolationPlan, Join, Joined, Plan, SHM};
use support::{Outcome, Shim};

/// What the engine writes into the plan for `--pid container:X --ipc container:X`.
fn joining(plan: &mut Plan, lender: &Plan) {
    plan.isolation = IsolationPlan::Process;
    for kind in [Joined::Pid, Joined::Ipc] {
        let (container_dir, run_dir) = (lender.container_dir.clone(), lender.run_dir.clone());
        plan.joins.push(Join { kind, id: lender.id.clone(), container_dir, run_dir });
    }
    let linux = plan.spec.linux_mut().as_mut().unwrap();
    let namespaces = linux.namespaces_mut().as_mut().unwrap();
    namespaces.retain(|namespace| !matches!(namespace.typ(), Type::Pid | Type::Ipc));
    let bind = MountBuilder::default()
        .destination("/dev/shm")
        .typ("bind")
        .source(plan.run_dir.join(SHM))
        .options(vec!["rbind".to_owned(), "rprivate".to_owned()])
        .build()
        .unwrap();
    let mounts = plan.spec.mounts_mut().as_mut().unwrap();
    mounts.retain(|mount| mount.destination() != Path::new("/dev/shm"));
    mounts.push(bind);
}

fn lender() -> Shim {
    let text = "echo theirs > /dev/shm/word; echo up; while ! [ -e /dev/shm/ours ]; do sleep 0.01; done; cat /dev/shm/ours";
    let mut lender = Shim::start(&["sh", "-c", text], |plan| plan.isolation = IsolationPlan::Process);
    let mut seen = Outcome::default();
    lender.receive(&mut seen, |outcome| outcome.text().contains("up"));
    assert_eq!(seen.text(), "up\n");
    lender
}

#[test]
fn processes_and_memory_of_another_container() {
    let mut first = lender();
    let text = "cat /proc/1/comm /dev/shm/word; [ $$ != 1 ] && echo beside; sleep 1000 & echo ours > /dev/shm/ours; exit 5";
    let mut second = Shim::start(&["sh", "-c", text], |plan| joining(plan, &first.plan));
    let mut outcome = Outcome::default();
    second.receive(&mut outcome, |_| false);
    assert_eq!(outcome.text(), "sh\ntheirs\nbeside\n", "{outcome:?}");
    assert_eq!(outcome.code(), 5, "what it left in the other's PID namespace did not hold it up");
    assert!(!second.plan.run_dir.exists(), "nothing is left in the run directory");
    let mut outcome = Outcome::default();
    first.receive(&mut outcome, |_| false);
    assert_eq!((outcome.text().as_str(), outcome.code()), ("ours\n", 0));

    let late = Shim::start(&["true"], |plan| joining(plan, &first.plan)).finish();
    let (message, code) = late.failed.unwrap();
    assert_eq!(code, 125);
    assert_eq!(message, format!("cannot join PID of a non running container: {}", first.plan.id));
}

#[test]
fn who_joins_a_pid_namespace_ends_with_it() {
    let mut first = lender();
    let mut second = Shim::start(&["sh", "-c", "echo up; sleep 1000"], |plan| joining(plan, &first.plan));
    let mut outcome = Outcome::default();
    second.receive(&mut outcome, |outcome| outcome.text().contains("up"));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    second.receive(&mut outcome, |_| false);
    assert_eq!(outcome.code(), 137, "{outcome:?}");
    // Its supervisor would have done that.
    std::fs::remove_dir(first.plan.cgroup.as_ref().unwrap()).unwrap();
}
