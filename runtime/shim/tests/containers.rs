//! Containers, each through a supervisor of its own: by default those of `--isolation=process`, with
//! `SANDBOX_SHIM_TEST_VM` (see `support/plan.rs`) in microVMs. Needs root.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use oci_spec::runtime::{Mount, MountBuilder};

use sandbox_shim::plan::IsolationPlan;
use sandbox_shim::wire::Request;
use support::{Outcome, Shim, run};

#[test]
fn exit_codes_are_the_commands_own() {
    for (command, code) in [
        (&["true"][..], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
    ] {
        let outcome = run(command, |_| {});
        assert_eq!(outcome.code(), code, "{command:?}: {outcome:?}");
        assert!(outcome.started);
    }
}

#[test]
fn a_command_that_cannot_run_fails_the_start() {
    for (command, code) in [("/nope", 127), ("/etc", 126), ("nope", 127)] {
        let outcome = run(&[command], |_| {});
        let (message, exit_code) = outcome.failed.unwrap_or_else(|| panic!("{command} ran"));
        assert_eq!(exit_code, code, "{command}: {message}");
        assert!(outcome.exit.is_none());
    }
    let outcome = run(&["true"], |plan| plan.rootfs.lower.push("/nowhere".into()));
    let (message, exit_code) = outcome.failed.unwrap();
    assert!(exit_code == 125 && message.contains("/nowhere"), "{message}");
}

#[test]
fn output_and_error_are_kept_apart_and_status_is_written() {
    let mut shim = Shim::start(&["sh", "-c", "echo out; echo err >&2; exit 3"], |_| {});
    let mut outcome = Outcome::default();
    shim.receive(&mut outcome, |outcome| outcome.exit.is_some());
    let status = sandbox_shim::status::read(&shim.plan.container_dir).unwrap().unwrap();
    assert_eq!(status.exit.unwrap().code, 3);
    assert_eq!((outcome.text().as_str(), outcome.stderr.as_slice()), ("out\n", b"err\n".as_slice()));
    let (up, ready) = match shim.plan.isolation {
        IsolationPlan::Process => ("init_cloned", "pivoted"),
        IsolationPlan::Vm(_) => ("first_kvm_run", "agent_ready"),
    };
    let rest = shim.finish();
    let names: Vec<_> = rest.stamps.iter().map(|stamp| stamp.name.as_str()).collect();
    for name in ["shim_start", "rootfs_mounted", up, ready, "first_output", "exited", "torn_down"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
}

#[test]
fn a_lot_of_data_goes_through_unchanged() {
    let mut shim = Shim::start(&["sh", "-c", "cat; echo done >&2"], |_| {});
    let sender = shim.sender.clone();
    let block: Vec<u8> = (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let count = 32;
    let writer = {
        let block = block.clone();
        std::thread::spawn(move || {
            for _ in 0..count {
                sender.stdin(&block).unwrap();
            }
            sender.close_stdin().unwrap();
        })
    };
    let mut outcome = Outcome::default();
    shim.receive(&mut outcome, |outcome| outcome.exit.is_some());
    writer.join().unwrap();
    assert_eq!(outcome.stdout.len(), count * block.len());
    assert!(outcome.stdout.chunks(block.len()).all(|chunk| chunk == block));
    assert_eq!(outcome.stderr, b"done\n");
    shim.finish();
}

#[test]
fn a_signal_passes_input_that_nobody_reads() {
    let mut shim =
        Shim::start(&["sh", "-c", "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done"], |_| {});
    let mut outcome = Outcome::default();
    shim.receive(&mut outcome, |outcome| outcome.text() == "ready\n");
    let sender = shim.sender.clone();
    let writer = std::thread::spawn(move || sender.stdin(&vec![0; 1 << 20]));
    shim.sender.request(&Request::Signal { signal: libc::SIGINT }).unwrap();
    let outcome = shim.finish();
    assert_eq!(outcome.code(), 7);
    assert!(writer.join().unwrap().is_err());
}

#[test]
fn users_of_the_image_are_resolved_with_their_home() {
    let outcome = run(&["sh", "-c", "id -u; id -g; id -G; echo $HOME"], |plan| plan.user = "web".into());
    assert_eq!(outcome.text(), "33\n34\n34 29\n/home/web\n");
    let outcome = run(&["true"], |plan| plan.user = "nobody".into());
    let (message, code) = outcome.failed.unwrap();
    assert!(code == 125 && message.contains("nobody"), "{message}");
}

#[test]
fn a_terminal_has_a_size_and_takes_another() {
    let script = "stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut shim = Shim::start(&["sh", "-c", script], |plan| {
        plan.tty = true;
        plan.spec.process_mut().as_mut().unwrap().set_terminal(Some(true));
        (plan.rows, plan.cols) = (24, 80);
    });
    let mut outcome = Outcome::default();
    shim.receive(&mut outcome, |outcome| outcome.text().contains("ready"));
    shim.sender.request(&Request::Resize { rows: 50, cols: 132 }).unwrap();
    let rest = shim.finish();
    assert_eq!(rest.code(), 5, "{rest:?}");
    assert_eq!(outcome.text() + &rest.text(), "24 80\r\nready\r\n50 132\r\n");
}

#[test]
fn control_c_and_end_of_file_work_on_a_terminal() {
    let terminal = |plan: &mut sandbox_shim::plan::Plan| {
        plan.tty = true;
        plan.spec.process_mut().as_mut().unwrap().set_terminal(Some(true));
    };
    let mut shim =
        Shim::start(&["sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done"], terminal);
    shim.receive(&mut Outcome::default(), |outcome| outcome.text().contains("ready"));
    shim.sender.stdin(b"\x03").unwrap();
    assert_eq!(shim.finish().code(), 9);
    let mut shim = Shim::start(&["sh", "-c", "echo ready; cat; exit 4"], terminal);
    shim.receive(&mut Outcome::default(), |outcome| outcome.text().contains("ready"));
    shim.sender.stdin(b"typed\n\x04").unwrap();
    let outcome = shim.finish();
    assert_eq!((outcome.code(), outcome.text().as_str()), (4, "typed\r\ntyped\r\n"));
}

#[test]
fn a_broken_pipe_is_a_signal_for_the_commands_inside() {
    // SIGPIPE, which we ignore ourselves, must not be ignored by the container's processes.
    let outcome = run(&["sh", "-c", "(yes; echo \"yes: $?\" >&2) | head -n 1"], |_| {});
    assert_eq!((outcome.text().as_str(), outcome.stderr.as_slice()), ("y\n", b"yes: 141\n".as_slice()));
}

#[test]
fn the_end_of_the_client_ends_a_tied_container_and_nothing_is_left() {
    let mut shim =
        Shim::start(&["sh", "-c", "trap '' TERM INT HUP; echo ready; while :; do sleep 1; done"], |_| {});
    shim.receive(&mut Outcome::default(), |outcome| outcome.text() == "ready\n");
    let (run_dir, cgroup) = (shim.plan.run_dir.clone(), shim.plan.cgroup.clone());
    let Shim { mut child, sender, receiver, .. } = shim;
    drop((sender, receiver));
    child.wait().unwrap();
    assert!(!run_dir.exists() && cgroup.is_none_or(|cgroup| !cgroup.exists()));
}

#[test]
fn the_supervisors_own_end_is_the_containers_stop() {
    let polite = "trap 'echo bye; exit 6' TERM; echo ready; while :; do sleep 0.05; done";
    let rude = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    for (script, code) in [(polite, 6), (rude, 137)] {
        let mut shim = Shim::start(&["sh", "-c", script], |_| {});
        shim.receive(&mut Outcome::default(), |outcome| outcome.text() == "ready\n");
        let pid = rustix::process::Pid::from_raw(shim.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(shim.finish().code(), code, "{script}");
    }
}

#[test]
fn a_killed_supervisor_leaves_no_process() {
    let mut shim = Shim::start(&["sh", "-c", "echo ready; sleep 1000"], |_| {});
    shim.receive(&mut Outcome::default(), |outcome| outcome.text() == "ready\n");
    let Some(cgroup) = shim.plan.cgroup.clone() else { return };
    shim.child.kill().unwrap();
    shim.child.wait().unwrap();
    // Empty at once, but the kernel keeps it until the last of them is gone altogether.
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = std::fs::remove_dir(&cgroup) {
        let left = std::fs::read_to_string(cgroup.join("cgroup.procs"));
        assert!(Instant::now() < deadline, "{error}; still there: {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn bind(destination: &str, source: &std::path::Path, options: &[&str]) -> Mount {
    MountBuilder::default()
        .destination(destination)
        .typ("bind")
        .source(source)
        .options(options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
        .build()
        .unwrap()
}

#[test]
fn volumes_are_seen_on_both_sides_and_read_only_ones_stay_as_they_are() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["rw", "ro"] {
        std::fs::create_dir(path(name)).unwrap();
        std::fs::write(path(name).join("given"), name).unwrap();
    }
    std::fs::write(path("single"), "single\n").unwrap();
    for owned in ["rw", "rw/given", "single"] {
        std::os::unix::fs::chown(path(owned), Some(33), Some(34)).unwrap();
    }
    let script = "cat /rw/given /ro/given /etc/one; stat -c %u:%g /rw/given; echo new > /rw/new; \
                  echo no 2>/dev/null > /ro/given || echo refused; echo more >> /etc/one; hostname; cat /etc/hosts";
    let outcome = run(&["sh", "-c", script], |plan| {
        std::fs::write(plan.container_dir.join("hosts"), "127.0.0.1 here\n").unwrap();
        plan.spec.set_hostname(Some("here".into()));
        plan.user = "web".into();
        let hosts = plan.container_dir.join("hosts");
        plan.spec.mounts_mut().get_or_insert_default().extend([
            bind("/rw", &path("rw"), &["rbind"]),
            bind("/ro", &path("ro"), &["rbind", "ro"]),
            bind("/etc/one", &path("single"), &["bind"]),
            bind("/etc/hosts", &hosts, &["rbind"]),
        ]);
    });
    assert_eq!(outcome.text(), "rwrosingle\n33:34\nrefused\nhere\n127.0.0.1 here\n", "{outcome:?}");
    assert_eq!(std::fs::read_to_string(path("rw").join("new")).unwrap(), "new\n");
    let owner = std::fs::metadata(path("rw").join("new")).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (33, 34));
    assert_eq!(std::fs::read_to_string(path("single")).unwrap(), "single\nmore\n");
    assert_eq!(std::fs::read_to_string(path("ro").join("given")).unwrap(), "ro");
}

#[test]
fn what_a_container_writes_outlives_it_when_it_is_to_stay() {
    let mut shim = Shim::start(
        &["sh", "-c", "dd if=/dev/zero of=/big bs=1024 count=3000 2>/dev/null; echo x > /small"],
        |plan| {
            (plan.remove, plan.rootfs.volatile) = (false, false);
        },
    );
    let mut outcome = Outcome::default();
    shim.receive(&mut outcome, |_| false);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let upper = &shim.plan.rootfs.upper;
    assert_eq!(std::fs::metadata(upper.join("big")).unwrap().len(), 3_072_000);
    assert_eq!(std::fs::read_to_string(upper.join("small")).unwrap(), "x\n");
    shim.finish();
}
