//! Create, start, exec, signal, pause, update, delete; taken over by another process; death of the parent.

use std::path::Path;
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxPidsBuilder, LinuxResources};
use rustix::process::Signal;
use sandbox_container::{Container, CreateOptions, ExitStatus, Gate, Status, Stdio, create};

use crate::Test;
use crate::support::{Bundle, Output, cgroups, options, process, script, spec, start, unique};

pub(crate) const TESTS: &[Test] = &[
    ("lifecycle::states", states),
    ("lifecycle::exec", exec),
    ("lifecycle::pause_update_stats", pause_update_stats),
    ("lifecycle::killed_while_paused", killed_while_paused),
    ("lifecycle::taken_over_by_another_process", taken_over_by_another_process),
    ("lifecycle::dies_with_its_parent", dies_with_its_parent),
    ("lifecycle::not_started_ends_with_its_creator", not_started_ends_with_its_creator),
    ("lifecycle::names_in_use", names_in_use),
    ("lifecycle::hooks", hooks),
    ("lifecycle::without_a_cgroup", without_a_cgroup),
];

fn states() {
    let bundle = Bundle::new();
    let spec = spec(&bundle, &["sleep", "100"]);
    let output = Output::new();
    let id = unique();
    let mut container =
        create(CreateOptions { stdio: output.stdio(), ..options(&id, &spec, &bundle) }).expect("created");
    assert_eq!(container.status(), Status::Created);
    assert_eq!(container.try_wait().expect("alive"), None);
    container.start().expect("started");
    assert_eq!(container.status(), Status::Running);
    assert!(container.start().expect_err("twice").to_string().contains("not waiting"));
    assert_eq!(container.processes().expect("processes"), [container.pid().as_raw_nonzero().get()]);
    container.signal(Signal::KILL).expect("killed");
    assert_eq!(container.wait().expect("waited"), ExitStatus::Signal(9));
    assert_eq!(container.wait().expect("again"), ExitStatus::Signal(9));
    assert_eq!(container.status(), Status::Stopped);
    container.signal(Signal::TERM).expect("gone is fine");
    assert!(container.rootfs().is_err());
    let error = container.exec(&process(&["true"]), Stdio::Inherit).expect_err("stopped").to_string();
    assert!(error.ends_with("is not running"), "{error}");
    container.delete().expect("deleted");
}

fn exec() {
    use std::os::fd::AsFd;
    let bundle = Bundle::new();
    let output = Output::new();
    let container = start(&bundle, &spec(&bundle, &["sleep", "100"]), &output);
    let root = container.rootfs().expect("a root");
    let user = sandbox_container::resolve_user(root.as_fd(), "www", &[]).expect("in the image");
    let mut shell = process(&[
        "sh",
        "-c",
        "id; ps | grep -c sleep; hostname; cat /proc/self/cgroup; grep -E 'Seccomp:|CapBnd' /proc/self/status; ls /proc/self/fd | wc -l; exit 9",
    ]);
    shell.user_mut().set_uid(user.uid).set_gid(user.gid).set_additional_gids(Some(user.additional_gids));
    shell.set_cwd("/tmp".into());
    let inside = Output::new();
    let process = container.exec(&shell, inside.stdio()).expect("exec");
    assert_eq!(process.wait().expect("waited"), ExitStatus::Code(9));
    let text = inside.text();
    for line in [
        "uid=33(www) gid=33(www) groups=29(audio)",
        "\nbox\n",
        "\n0::/\n",
        "Seccomp:\t2",
        "CapBnd:\t00000000a80425fb",
        "\n4\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    for (command, code) in [("/nope", 127), ("nope", 127), ("/etc", 126)] {
        let error = container.exec(&crate::support::process(&[command]), Stdio::Inherit).expect_err(command);
        assert_eq!(error.exit_code(), code, "{error}");
    }
    container.delete().expect("deleted");
}

fn pause_update_stats() {
    let bundle = Bundle::new();
    let output = Output::new();
    let container = start(&bundle, &spec(&bundle, &["sh", "-c", "while :; do :; done"]), &output);
    container.pause().expect("paused");
    assert_eq!(container.status(), Status::Paused);
    let error = container.exec(&process(&["true"]), Stdio::Inherit).expect_err("paused").to_string();
    assert!(error.ends_with("is paused, unpause the container before exec"), "{error}");
    let error = container.pause().expect_err("twice").to_string();
    assert!(error.ends_with("is already paused"), "{error}");
    assert!(container.begin_pause().is_err());
    let used = || container.stats().expect("stats").cpu_usage_usec.expect("there without the controller");
    let before = used();
    assert_eq!(used(), before, "it runs although it is frozen");
    container.resume().expect("resumed");
    assert_eq!(container.status(), Status::Running);
    let error = container.resume().expect_err("twice").to_string();
    assert!(error.ends_with("is not paused"), "{error}");
    let freezing = container.begin_pause().expect("begun");
    while !freezing.is_done().expect("readable") {
        std::thread::yield_now();
    }
    assert_eq!(container.status(), Status::Paused);
    container.cancel_pause().expect("thawed");
    assert_eq!(container.status(), Status::Running);
    let mut resources = LinuxResources::default();
    resources.set_pids(Some(LinuxPidsBuilder::default().limit(5).build().expect("pids")));
    let has_pids = container.cgroup().is_some_and(|path| path.join("pids.max").exists());
    match container.update(&resources) {
        Ok(()) => assert_eq!(container.stats().expect("stats").pids_limit, Some(5)),
        Err(error) => assert!(!has_pids && error.to_string().contains("\"pids\""), "{error}"),
    }
    assert!(!container.oom_killed());
    container.pause().expect("paused");
    // A frozen container can be deleted.
    container.delete().expect("deleted");
}

fn killed_while_paused() {
    let bundle = Bundle::new();
    for all in [false, true] {
        let output = Output::new();
        let mut container =
            start(&bundle, &spec(&bundle, &["sh", "-c", "sleep 100 & echo up; wait"]), &output);
        output.wait_for("up");
        container.pause().expect("paused");
        // Waits for the end of the pause.
        container.signal(Signal::TERM).expect("signalled");
        assert_eq!(container.try_wait().expect("alive"), None);
        // Does not.
        if all { container.kill_all() } else { container.signal(Signal::KILL) }.expect("killed");
        assert_eq!(container.wait().expect("waited"), ExitStatus::Signal(9));
        assert!(container.pause().expect_err("gone").to_string().ends_with("is not running"));
        assert!(container.resume().expect_err("gone").to_string().ends_with("is not running"));
        container.delete().expect("deleted");
    }
}

fn taken_over_by_another_process() {
    let bundle = Bundle::new();
    for (command, expected) in [("echo started; sleep 100", None), ("", Some(127))] {
        let args: &[&str] = if command.is_empty() { &["/root/late"] } else { &["sh", "-c", command] };
        let spec = spec(&bundle, args);
        // The command is there at create and gone at start.
        bundle.write("root/late", "#!/bin/sh\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bundle.root().join("root/late"), mode).expect("chmod");
        let output = Output::new();
        let gate = bundle.path().join("x".repeat(100)).join("gate.sock");
        std::fs::create_dir_all(gate.parent().expect("a parent")).expect("mkdir");
        let id = unique();
        let options = CreateOptions {
            gate: Gate::Socket(gate.clone()),
            die_with_parent: false,
            stdio: output.stdio(),
            ..options(&id, &spec, &bundle)
        };
        let record = serde_json::to_string(&create(options).expect("created").state().expect("a record"))
            .expect("json");
        // From here on only the record is known, as to a new process.
        let state = serde_json::from_str(&record).expect("a record");
        let mut container = Container::load(&state, &spec).expect("loaded");
        assert_eq!(container.status(), Status::Created);
        std::fs::remove_file(bundle.root().join("root/late")).expect("rm");
        match (container.start(), expected) {
            (Ok(()), None) => {
                output.wait_for("started");
                assert_eq!(container.status(), Status::Running);
                let again = Container::load(&state, &spec).expect("loaded");
                again.delete().expect("deleted");
            }
            (Err(error), Some(code)) => assert_eq!(error.exit_code(), code, "{error}"),
            other => panic!("{other:?}"),
        }
        container.delete().expect("deleted");
        assert!(!gate.exists() && !cgroups().join(&id).exists());
        let gone = Container::load(&state, &spec).expect("loads");
        assert_eq!(gone.status(), Status::Stopped);
        gone.delete().expect("deleting twice is fine");
    }
}

/// Runs `body` in a child process of this one that then waits to be killed; gives its PID once `body` is through.
pub(crate) fn in_a_supervisor(body: impl FnOnce()) -> rustix::process::Pid {
    use std::io::{Read, Write};
    let (mut reader, mut writer) = std::io::pipe().expect("pipe");
    // SAFETY: this process has one thread; the child ends by signal.
    match unsafe { libc::fork() } {
        0 => {
            drop(reader);
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
                // SAFETY: the parent's copy of this process runs the rest of the tests.
                unsafe { libc::_exit(1) };
            }
            let _ = writer.write_all(b"x");
            loop {
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            }
        }
        pid => {
            drop(writer);
            assert_eq!(reader.read(&mut [0]).expect("read"), 1, "the supervisor failed");
            rustix::process::Pid::from_raw(pid).expect("a PID")
        }
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn empty(cgroup: &Path) -> bool {
    std::fs::read_to_string(cgroup.join("cgroup.events")).is_ok_and(|text| text.contains("populated 0"))
}

fn dies_with_its_parent() {
    for (uid, init) in [(0, false), (33, false), (0, true)] {
        let bundle = Bundle::new();
        let mut spec = spec(&bundle, &["sh", "-c", "sleep 100 & sleep 100"]);
        crate::support::edit_process(&mut spec, |process| {
            process.user_mut().set_uid(uid);
        });
        let id = unique();
        let supervisor = in_a_supervisor(|| {
            let output = Output::new();
            let options = CreateOptions { init, stdio: output.stdio(), ..options(&id, &spec, &bundle) };
            let mut container = create(options).expect("created");
            container.start().expect("started");
        });
        let cgroup = cgroups().join(&id);
        assert!(!empty(&cgroup));
        rustix::process::kill_process(supervisor, Signal::KILL).expect("killed");
        rustix::process::waitpid(Some(supervisor), rustix::process::WaitOptions::empty()).expect("waited");
        eventually("the container's end", || empty(&cgroup));
        std::fs::remove_dir(&cgroup).expect("rmdir");
    }
}

fn not_started_ends_with_its_creator() {
    let bundle = Bundle::new();
    let spec = spec(&bundle, &["sleep", "100"]);
    let id = unique();
    let supervisor = in_a_supervisor(|| {
        std::mem::forget(create(options(&id, &spec, &bundle)).expect("created"));
    });
    rustix::process::kill_process(supervisor, Signal::KILL).expect("killed");
    rustix::process::waitpid(Some(supervisor), rustix::process::WaitOptions::empty()).expect("waited");
    eventually("the init's end", || empty(&cgroups().join(&id)));
    // Whoever comes next takes the name over.
    let output = Output::new();
    let mut container = create(CreateOptions { stdio: output.stdio(), ..options(&id, &spec, &bundle) })
        .expect("created again");
    container.start().expect("started");
    container.delete().expect("deleted");
}

fn names_in_use() {
    let bundle = Bundle::new();
    let spec = spec(&bundle, &["sleep", "100"]);
    let id = unique();
    let first = create(options(&id, &spec, &bundle)).expect("created");
    let error = create(options(&id, &spec, &bundle)).expect_err("in use").to_string();
    assert!(error.contains("is in use"), "{error}");
    assert_eq!(first.status(), Status::Created);
    first.delete().expect("deleted");
}

fn hooks() {
    use oci_spec::runtime::{HookBuilder, HooksBuilder};
    let bundle = Bundle::new();
    let log = bundle.path().join("log");
    let hook = |kind: &str, shell: &str| {
        let script =
            format!("cat >>{0}; echo \" {kind} $(readlink /proc/self/ns/mnt)\" >>{0}", log.display());
        let args = vec!["sh".to_owned(), "-c".to_owned(), script];
        vec![
            HookBuilder::default()
                .path(shell)
                .args(args)
                .env(vec!["PATH=/bin:/usr/bin".to_owned()])
                .build()
                .expect("a hook"),
        ]
    };
    let mut spec = spec(&bundle, &["true"]);
    // Inside the container the log is a file of its own, which the rootfs has under the same path.
    let inside = bundle.root().join(log.strip_prefix("/").expect("absolute"));
    std::fs::create_dir_all(inside.parent().expect("a parent")).expect("mkdir");
    let mut hooks = HooksBuilder::default()
        .create_runtime(hook("createRuntime", "/bin/sh"))
        .create_container(hook("createContainer", "/bin/sh"))
        .start_container(hook("startContainer", "/bin/sh"))
        .poststart(hook("poststart", "/bin/sh"))
        .poststop(hook("poststop", "/bin/sh"))
        .build()
        .expect("hooks");
    spec.set_hooks(Some(hooks.clone()));
    script(&bundle, &mut spec, "true");
    let text = std::fs::read_to_string(&log).expect("the log");
    let kinds: Vec<&str> =
        text.lines().filter_map(|line| line.rsplit_once("} ")?.1.split(' ').next()).collect();
    assert_eq!(kinds, ["createRuntime", "createContainer", "poststart", "poststop"], "{text}");
    assert!(text.lines().all(|line| line.contains("\"status\":")), "{text}");
    let own = std::fs::read_link("/proc/self/ns/mnt").expect("a link");
    let in_host = |line: &str| line.contains(own.to_str().expect("text"));
    assert_eq!(text.lines().map(in_host).collect::<Vec<_>>(), [true, false, true, true], "{text}");
    let text = std::fs::read_to_string(inside).expect("the log inside");
    assert!(text.contains("startContainer") && text.contains("\"pid\":"), "{text}");

    let failing = vec![HookBuilder::default().path("/bin/false").build().expect("a hook")];
    hooks.set_create_container(Some(failing));
    spec.set_hooks(Some(hooks));
    let id = unique();
    let error = create(options(&id, &spec, &bundle)).expect_err("the hook fails").to_string();
    assert!(error.starts_with("hook /bin/false (createContainer): exit status: 1"), "{error}");
    assert!(!cgroups().join(&id).exists());
}

fn without_a_cgroup() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &["true"]);
    let id = unique();
    let error = create(CreateOptions { cgroup: None, ..options(&id, &spec, &bundle) })
        .expect_err("device rules need one")
        .to_string();
    assert!(error.contains("has no cgroup"), "{error}");
    crate::support::linux(&mut spec, |linux| {
        linux.set_resources(None);
    });
    let without = CreateOptions { cgroup: None, ..options(&id, &spec, &bundle) };
    let (status, _) = crate::support::run_with(without).expect("it runs");
    assert_eq!(status, ExitStatus::Code(0));
}
