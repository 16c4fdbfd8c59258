//! What `run` promises: exit codes, Docker's words, what a container sees.

use sandbox_container::{ExitStatus, create};

use crate::Test;
use crate::support::{Bundle, edit_process, linux, options, run, run_with, script, spec, strings, unique};

pub(crate) const TESTS: &[Test] = &[
    ("basics::exit_codes", exit_codes),
    ("basics::commands_that_cannot_run", commands_that_cannot_run),
    ("basics::what_it_sees", what_it_sees),
    ("basics::environment_and_working_directory", environment_and_working_directory),
    ("basics::an_init_reaps_and_forwards", an_init_reaps_and_forwards),
    ("basics::a_failed_create_leaves_nothing", a_failed_create_leaves_nothing),
    ("basics::limits_on_descriptors_are_cut", limits_on_descriptors_are_cut),
];

fn exit_codes() {
    let bundle = Bundle::new();
    for (args, status) in [
        (&["true"][..], ExitStatus::Code(0)),
        (&["/bin/false"], ExitStatus::Code(1)),
        (&["sh", "-c", "exit 42"], ExitStatus::Code(42)),
        (&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], ExitStatus::Code(137)),
        // The kernel protects PID 1 from itself; with an init the command is not PID 1.
        (&["sh", "-c", "kill -9 $$; exit 5"], ExitStatus::Code(5)),
    ] {
        assert_eq!(run(&bundle, &spec(&bundle, args)).expect("it runs").0, status, "{args:?}");
    }
}

fn commands_that_cannot_run() {
    let bundle = Bundle::new();
    bundle.write("etc/script", "#!/no/such/interpreter\n");
    bundle.write("etc/garbage", "\u{1}\u{2}");
    for file in ["etc/script", "etc/garbage"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bundle.root().join(file), mode).expect("chmod");
    }
    for (command, message, code) in [
        ("/nope", "exec: \"/nope\": stat /nope: no such file or directory", 127),
        ("foo", "exec: \"foo\": executable file not found in $PATH", 127),
        ("", "exec: \"\": executable file not found in $PATH", 127),
        ("/etc", "exec: \"/etc\": is a directory", 126),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied", 126),
        ("/etc/passwd/x", "exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory", 127),
        ("/etc/script", "exec: \"/etc/script\": no such file or directory", 127),
        ("/etc/garbage", "exec: \"/etc/garbage\": exec format error", 126),
    ] {
        let error = run(&bundle, &spec(&bundle, &[command])).expect_err(command);
        assert_eq!((error.to_string().as_str(), error.exit_code()), (message, code));
    }
}

fn what_it_sees() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let text = script(
        &bundle,
        &mut spec,
        "id; hostname; ps; mount; cat /proc/self/cgroup; grep -E 'Cap|Secc|NoNew' /proc/self/status; ls -l /dev; ip addr",
    );
    for line in [
        "uid=0(root) gid=0(root)",
        "\nbox\n",
        "\n    1 root     sh -c id",
        "proc on /proc type proc (rw,nosuid,nodev,noexec,relatime)",
        "tmpfs on /dev type tmpfs (rw,nosuid,size=65536k,mode=755",
        "devpts on /dev/pts type devpts (rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666)",
        "sysfs on /sys type sysfs (ro,nosuid,nodev,noexec,relatime)",
        "cgroup on /sys/fs/cgroup type cgroup2 (ro,nosuid,nodev,noexec,relatime",
        "mqueue on /dev/mqueue type mqueue (rw,nosuid,nodev,noexec,relatime)",
        "shm on /dev/shm type tmpfs (rw,nosuid,nodev,noexec,relatime,size=1024k",
        "proc on /proc/sys type proc (ro,nosuid,nodev,noexec,relatime)",
        "tmpfs on /sys/firmware type tmpfs (ro,",
        "tmpfs on /proc/keys type tmpfs (rw,nosuid,size=65536k,mode=755",
        "\n0::/\n",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "Seccomp:\t2",
        "NoNewPrivs:\t0",
        " ptmx -> pts/ptmx",
        "LOOPBACK,UP",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

fn environment_and_working_directory() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    edit_process(&mut spec, |process| {
        process.set_cwd("/not/there/yet".into());
        process.set_env(Some(strings(&["PATH=/bin", "A=b=c", "EMPTY="])));
    });
    let text = script(&bundle, &mut spec, "pwd; env; ls /proc/self/fd | wc -l; umask");
    for line in ["/not/there/yet\n", "\nA=b=c\n", "\nEMPTY=\n", "\nHOME=/root\n", "\n0022\n"] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    // 0, 1, 2 and the directory that ls reads.
    assert!(text.contains("\n4\n"), "descriptors are left open: {text}");
    edit_process(&mut spec, |process| {
        process.set_args(Some(strings(&["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"])));
    });
    let (_, text) = run(&bundle, &spec).expect("it runs");
    assert_eq!(
        text,
        "SigBlk:	0000000000000000
SigIgn:	0000000000000000
"
    );
}

fn an_init_reaps_and_forwards() {
    let bundle = Bundle::new();
    // The orphan's parent ends first; a zombie would stay without a reaper.
    let text =
        "sh -c 'sleep 0.1 &'; sleep 0.4; ps; cat /proc/1/cmdline; cat /proc/1/environ; echo; kill -9 $$";
    let spec = spec(&bundle, &["sh", "-c", text]);
    let id = unique();
    let (status, output) =
        run_with(sandbox_container::CreateOptions { init: true, ..options(&id, &spec, &bundle) })
            .expect("it runs");
    assert_eq!(status, ExitStatus::Code(137), "{output}");
    assert!(output.contains("1 root     sandbox-init -- sh"), "{output}");
    assert!(!output.contains('Z') && !output.contains("containers-"), "{output}");
    assert!(output.contains("'/proc/1/environ': Permission denied"), "{output}");

    let spec =
        self::spec(&bundle, &["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"]);
    let output = crate::support::Output::new();
    let id = unique();
    let mut container = create(sandbox_container::CreateOptions {
        init: true,
        stdio: output.stdio(),
        ..options(&id, &spec, &bundle)
    })
    .expect("created");
    container.start().expect("started");
    output.wait_for("ready");
    container.signal(rustix::process::Signal::TERM).expect("signalled");
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(7));
    container.delete().expect("deleted");
}

fn a_failed_create_leaves_nothing() {
    let bundle = Bundle::new();
    let before = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let mut spec = spec(&bundle, &["true"]);
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.push(crate::mounts::mount("/x", "nosuchfs", "none", &[]));
    spec.set_mounts(Some(mounts));
    let id = unique();
    let error = create(options(&id, &spec, &bundle)).expect_err("no such file system");
    assert_eq!(error.exit_code(), 125);
    assert!(error.to_string().contains("nosuchfs"), "{error}");
    assert!(!crate::support::cgroups().join(&id).exists());
    assert_eq!(before, std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"));
    assert!(rustix::process::waitpid(None, rustix::process::WaitOptions::NOHANG).is_err(), "a child is left");

    linux(&mut spec, |linux| {
        linux.set_namespaces(Some(vec![]));
    });
    let error = create(options(&id, &spec, &bundle)).expect_err("no mount namespace").to_string();
    assert!(error.contains("mount namespace"), "{error}");
}

fn limits_on_descriptors_are_cut() {
    use oci_spec::runtime::{PosixRlimitBuilder, PosixRlimitType};
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let limit = |kind, soft: u64, hard: u64| {
        PosixRlimitBuilder::default().typ(kind).soft(soft).hard(hard).build().expect("limit")
    };
    edit_process(&mut spec, |process| {
        process.set_rlimits(Some(vec![
            limit(PosixRlimitType::RlimitNofile, 1 << 40, 1 << 40),
            limit(PosixRlimitType::RlimitCore, 0, 4096),
        ]));
    });
    let text = script(&bundle, &mut spec, "ulimit -Hn; ulimit -Sc; ulimit -Hc");
    let inherited = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.expect("a limit");
    // 4096 bytes are 8 blocks.
    assert_eq!(text, format!("{inherited}\n0\n8\n"));
}
