//! More processes in a container, through the trait that the supervisor uses; which isolation is as for
//! `containers.rs`. One test, because the container core clones and must be alone in its process. Needs root.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/plan.rs"]
mod plan;

use std::rc::Rc;

use oci_spec::runtime as oci;
use sandbox_shim::isolation::process::ProcessIsolation;
use sandbox_shim::isolation::vm::{self, VmIsolation};
use sandbox_shim::isolation::{Exec, Isolation, Process, Running, Start, Stdio, Update};
use sandbox_shim::plan::IsolationPlan;
use sandbox_shim::rootfs;
use sandbox_shim::stamps::Stamps;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn exec(name: &str, arguments: &[&str], stdio: Stdio) -> Exec {
    let mut process = oci::Process::default();
    process.set_args(Some(arguments.iter().map(|&argument| argument.to_owned()).collect()));
    process.set_env(Some(vec!["PATH=/bin".to_owned()]));
    process.set_terminal(Some(stdio.terminal.is_some()));
    process.set_rlimits(None);
    Exec { name: name.into(), process, user: "web".into(), extra_groups: Vec::new(), stdio }
}

async fn outcome(process: Process, input: &[u8]) -> (String, String, u8) {
    let (mut output, mut error) = (String::new(), String::new());
    let mut streams = process.streams;
    if let Some(mut stdin) = streams.input.take() {
        stdin.write_all(input).await.unwrap();
        stdin.shutdown().await.unwrap();
    }
    streams.output.read_to_string(&mut output).await.unwrap();
    if let Some(mut stderr) = streams.error {
        stderr.read_to_string(&mut error).await.unwrap();
    }
    (output, error, process.exited.await.unwrap().code)
}

/// What holds for processes in any container.
async fn processes_join_a_container_and_end_apart_from_it<I: Isolation>(isolation: I, start: Start<'_>) {
    let (vm, cgroup) = (matches!(start.plan.isolation, IsolationPlan::Vm(_)), start.plan.cgroup.clone());
    let (container, init) = isolation.start(start).await.unwrap();

    let pipes = Stdio { terminal: None, stdin: true };
    let script =
        "while ! [ -e /tmp/mark ]; do sleep 0.01; done; id -u; echo $HOME; cat; echo err >&2; exit 3";
    let process = container.exec(exec("a", &["sh", "-c", script], pipes)).await.unwrap();
    let expected = ("33\n/home/web\nhello".to_owned(), "err\n".to_owned(), 3);
    assert_eq!(outcome(process, b"hello").await, expected);

    let terminal = Stdio { terminal: Some((30, 100)), stdin: true };
    let waits =
        &["sh", "-c", "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.05; done"];
    let mut process = container.exec(exec("t", waits, terminal)).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("ready") {
        let mut chunk = [0; 256];
        let length = process.streams.output.read(&mut chunk).await.unwrap();
        seen.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
    }
    let taken = container.exec(exec("t", &["true"], pipes)).await.unwrap_err();
    assert!(taken.message.contains("taken"), "{taken}");
    container.resize("t", 31, 101).await.unwrap();
    process.streams.output.read_to_string(&mut seen).await.unwrap();
    assert_eq!(seen, "30 100\r\nready\r\n31 101\r\n");
    assert_eq!(process.exited.await.unwrap().code, 4);

    let process = container.exec(exec("s", &["sleep", "1000"], Stdio::default())).await.unwrap();
    container.signal("s", libc::SIGTERM).await.unwrap();
    assert_eq!(process.exited.await.unwrap().code, 143);
    container.signal("s", libc::SIGTERM).await.unwrap();

    let missing = container.exec(exec("m", &["/nope"], pipes)).await.unwrap_err();
    assert_eq!(missing.exit_code, 127, "{missing}");
    let stats = container.stats().await.unwrap();
    assert!(stats.container.stats.cpu_usage_usec.is_some_and(|time| time > 0), "{stats:?}");

    paused_and_limited(&container).await;
    if vm {
        memory_goes_back_to_the_host(&container, cgroup).await;
    }

    assert_eq!(outcome(init, b"").await.2, 9);
    container.stop(true).await.unwrap();
}

/// What holds for a container that is paused, looked at and given other limits.
async fn paused_and_limited(container: &impl Running) {
    let ticks = "trap 'exit 7' TERM; while :; do echo x; sleep 0.01; done";
    let mut ticker = container.exec(exec("p", &["sh", "-c", ticks], Stdio::default())).await.unwrap();
    ticker.streams.output.read_exact(&mut [0; 2]).await.unwrap();
    let listed = container.processes().await.unwrap();
    let shell = listed.list.iter().find(|process| process.args.ends_with(ticks)).unwrap();
    assert_eq!((shell.uid, shell.gid, shell.comm.as_str()), (33, 34, "sh"), "{shell:?}");
    assert!(listed.list.iter().any(|process| process.args.contains("exit 9") && process.uid == 0));
    assert!(!listed.more && listed.memory_total > shell.rss_bytes && shell.rss_bytes > 0);

    assert!(container.resume().await.unwrap_err().message.ends_with("is not paused"));
    container.pause().await.unwrap();
    assert!(container.pause().await.unwrap_err().message.ends_with("is already paused"));
    let refused = container.exec(exec("q", &["true"], Stdio::default())).await.unwrap_err();
    assert!(refused.message.ends_with("is paused, unpause the container before exec"), "{refused}");
    // What was on its way comes, and then nothing.
    let mut output = [0; 4096];
    let quiet = std::time::Duration::from_secs(1);
    while tokio::time::timeout(quiet, ticker.streams.output.read(&mut output)).await.is_ok() {}
    container.signal("p", libc::SIGTERM).await.unwrap();
    assert!(!container.processes().await.unwrap().list.is_empty());
    assert!(container.stats().await.unwrap().container.online_cpus.is_some());
    assert!(
        tokio::time::timeout(quiet, &mut ticker.exited).await.is_err(),
        "a signal does not end the pause"
    );
    container.resume().await.unwrap();
    assert_eq!(ticker.exited.await.unwrap().code, 7);

    let mut limits = oci::LinuxResources::default();
    limits.set_pids(Some(oci::LinuxPidsBuilder::default().limit(100).build().unwrap()));
    let update = Update { container: limits, ..Update::default() };
    match container.update(&update).await {
        Ok(()) => {
            assert_eq!(container.stats().await.unwrap().container.stats.pids_limit, Some(100));
        }
        // Not every host has the controller in its cgroup v2 tree; every guest does.
        Err(failure) => assert!(failure.message.contains("\"pids\" is not available"), "{failure}"),
    }
}

/// What holds for a microVM of 256 MiB.
async fn memory_goes_back_to_the_host(container: &impl Running, cgroup: Option<std::path::PathBuf>) {
    let update = |memory_mib| {
        let mut monitor = oci::LinuxResources::default();
        let limit =
            oci::LinuxMemoryBuilder::default().limit((memory_mib as i64 + 128) << 20).build().unwrap();
        monitor.set_memory(Some(limit));
        Update { monitor: Some(monitor), memory_mib: Some(memory_mib), ..Update::default() }
    };
    let refused = container.update(&update(1000)).await.unwrap_err();
    assert!(refused.message.contains("booted with 256 MiB"), "{refused}");
    let limit = cgroup.map(|cgroup| cgroup.join("memory.max")).filter(|file| file.exists());
    let Some(limit) = limit else { return };
    for memory_mib in [150, 256, 200] {
        container.update(&update(memory_mib)).await.unwrap();
        // Less comes when the guest has given what it had.
        let expected = format!("{}\n", (memory_mib + 128) << 20);
        let follows = async {
            while std::fs::read_to_string(&limit).unwrap() != expected {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(1), follows).await.unwrap();
    }
    let host = container.stats().await.unwrap().host.unwrap();
    assert!(
        host.memory_current.is_some_and(|bytes| bytes < 328 << 20) && host.cpu_usage_usec > Some(0),
        "{host:?}"
    );
}

#[test]
fn more_processes_in_a_container() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let plan = plan::plan(directory.path(), &["sh", "-c", "echo > /tmp/mark; cat; exit 9"]);
    rootfs::enter_namespace().unwrap();
    let overlay = rootfs::mount(&plan.rootfs, &plan.run_dir).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let stamps = Rc::new(Stamps::default());
        let start = Start { plan: &plan, rootfs: overlay, stamps: &stamps };
        match &plan.isolation {
            IsolationPlan::Process => {
                processes_join_a_container_and_end_apart_from_it(ProcessIsolation, start).await;
            }
            IsolationPlan::Vm(vm) => {
                vm::prepare(&plan, vm).unwrap();
                let isolation = VmIsolation { plan: vm, stamps: Rc::clone(&stamps) };
                processes_join_a_container_and_end_apart_from_it(isolation, start).await;
            }
        }
    });
    assert!(plan.cgroup.is_none_or(|cgroup| !cgroup.exists()));
}
