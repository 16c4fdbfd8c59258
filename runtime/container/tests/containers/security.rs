//! Seccomp, devices, masks and what a container must not reach.

use oci_spec::runtime::{LinuxSeccompAction as Action, LinuxSeccompBuilder, LinuxSyscallBuilder, Spec};
use sandbox_container::{ExitStatus, Stdio, defaults};

use crate::Test;
use crate::support::{Bundle, Output, edit_process, linux, process, run, script, spec, start, strings};

pub(crate) const TESTS: &[Test] = &[
    ("security::the_default_filter", the_default_filter),
    ("security::a_filter_of_the_spec", a_filter_of_the_spec),
    ("security::a_filter_that_notifies", a_filter_that_notifies),
    ("security::devices", devices),
    ("security::masked_and_read_only_paths", masked_and_read_only_paths),
    ("security::no_way_to_our_program", no_way_to_our_program),
];

fn the_default_filter() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let text = script(&bundle, &mut spec, "unshare -U true; mount -t tmpfs none /tmp; hostname other; true");
    assert_eq!(
        text.matches("Operation not permitted").count() + text.matches("permission denied").count(),
        3,
        "{text}"
    );
}

fn deny(names: &[&str], action: Action, errno: Option<u32>) -> oci_spec::runtime::LinuxSeccomp {
    let mut rule = LinuxSyscallBuilder::default().names(strings(names)).action(action);
    if let Some(errno) = errno {
        rule = rule.errno_ret(errno);
    }
    LinuxSeccompBuilder::default()
        .default_action(Action::ScmpActAllow)
        .syscalls(vec![rule.build().expect("a rule")])
        .build()
        .expect("a profile")
}

fn with_filter(bundle: &Bundle, filter: oci_spec::runtime::LinuxSeccomp, args: &[&str]) -> Spec {
    let mut spec = spec(bundle, args);
    linux(&mut spec, |linux| {
        linux.set_seccomp(Some(filter));
    });
    spec
}

fn a_filter_of_the_spec() {
    let bundle = Bundle::new();
    let filter = deny(&["mkdir", "mkdirat"], Action::ScmpActErrno, Some(libc::EXDEV as u32));
    let mut spec = with_filter(&bundle, filter, &[]);
    let text = script(&bundle, &mut spec, "mkdir /tmp/x; true");
    assert!(text.contains("Cross-device link") || text.contains("Invalid cross-device link"), "{text}");
    for new_privileges in [false, true] {
        let filter = deny(&["uname"], Action::ScmpActKillProcess, None);
        let mut spec = with_filter(&bundle, filter, &["hostname"]);
        edit_process(&mut spec, |process| {
            process.set_no_new_privileges(Some(!new_privileges));
        });
        assert_eq!(run(&bundle, &spec).expect("it runs").0, ExitStatus::Signal(libc::SIGSYS));
    }
}

fn a_filter_that_notifies() {
    use std::os::unix::net::UnixListener;
    let bundle = Bundle::new();
    let socket = bundle.path().join("agent.sock");
    let agent = UnixListener::bind(&socket).expect("bound");
    let mut filter = deny(&["mkdir"], Action::ScmpActNotify, None);
    filter.set_listener_path(Some(socket)).set_listener_metadata(Some("for the agent".to_owned()));
    let spec = with_filter(&bundle, filter, &["mkdir", "/tmp/x"]);
    let output = Output::new();
    let mut container = start(&bundle, &spec, &output);
    let (connection, _) = agent.accept().expect("accepted");
    let listener = crate::streams::receive_descriptor(&connection.into());
    // Nobody answers: closing the listener makes the call fail with ENOSYS.
    drop(listener);
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(1));
    container.delete().expect("deleted");
    let text = output.text();
    assert!(text.contains("Function not implemented"), "{text}");
}

fn devices() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let text = script(
        &bundle,
        &mut spec,
        "mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg; mknod /tmp/null c 1 3 && cat /tmp/null && echo null; true",
    );
    assert!(text.contains("'/tmp/kmsg': Operation not permitted") && text.contains("null\n"), "{text}");
    // Allowed by the spec, made by the spec.
    linux(&mut spec, |linux| {
        let device = oci_spec::runtime::LinuxDeviceBuilder::default()
            .path("/dev/deep/kmsg")
            .typ(oci_spec::runtime::LinuxDeviceType::C)
            .major(1i64)
            .minor(11i64)
            .file_mode(0o640u32)
            .uid(3u32)
            .gid(4u32)
            .build()
            .expect("a device");
        linux.set_devices(Some(vec![device]));
    });
    let text =
        script(&bundle, &mut spec, "stat -c '%a %u:%g %t:%T' /dev/deep/kmsg; head -c 1 /dev/deep/kmsg; true");
    assert!(text.starts_with("640 3:4 1:b\n") && text.contains("Operation not permitted"), "{text}");
    linux(&mut spec, |linux| {
        let mut resources = linux.resources().clone().unwrap_or_default();
        resources.set_devices(Some(defaults::privileged_device_rules()));
        linux.set_resources(Some(resources));
    });
    edit_process(&mut spec, |process| {
        process.set_capabilities(Some(defaults::capability_sets(&defaults::all_capabilities(), 0)));
    });
    let text = script(&bundle, &mut spec, "dd if=/dev/deep/kmsg bs=8k count=1 >/dev/null && echo readable");
    assert!(text.ends_with("readable\n"), "{text}");
}

fn masked_and_read_only_paths() {
    let bundle = Bundle::new();
    bundle.write("etc/secret", "secret\n");
    std::fs::create_dir(bundle.root().join("etc/hidden")).expect("mkdir");
    bundle.write("etc/hidden/treasure", "secret\n");
    let mut spec = spec(&bundle, &[]);
    linux(&mut spec, |linux| {
        linux.set_masked_paths(Some(strings(&[
            "/etc/secret",
            "/etc/hidden",
            "/no/such/path",
            "/tmp",
            "/root",
        ])));
        linux.set_readonly_paths(Some(strings(&["/etc", "/not/there"])));
    });
    let text = script(
        &bundle,
        &mut spec,
        "cat /etc/secret; ls -A /etc/hidden; touch /etc/hidden/x; touch /etc/x; touch /root/x; true",
    );
    assert!(!text.contains("secret\n") && !text.contains("treasure"), "{text}");
    assert_eq!(text.matches("Read-only file system").count(), 3, "{text}");
    let host = std::fs::read_to_string(bundle.root().join("etc/secret")).expect("read");
    assert_eq!(host, "secret\n");
}

/// CVE-2019-5736 and its kin: the engine's program can be neither run nor opened from inside.
fn no_way_to_our_program() {
    let bundle = Bundle::new();
    let error = run(&bundle, &spec(&bundle, &["/proc/self/exe"])).expect_err("our own program");
    assert_eq!(error.exit_code(), 126);
    std::os::unix::fs::symlink("/proc/self/exe", bundle.root().join("bin/link")).expect("symlink");
    assert_eq!(run(&bundle, &spec(&bundle, &["link"])).expect_err("our own program").exit_code(), 127);
    // A process of the container looks at everything that appears in its PID namespace while exec goes on.
    let watch = "while :; do for p in /proc/[0-9]*; do \
                 case $(readlink $p/exe) in ''|/bin/*) ;; *) echo FOUND $(readlink $p/exe);; esac; done; done 2>/dev/null";
    let output = Output::new();
    let container = start(&bundle, &spec(&bundle, &["sh", "-c", watch]), &output);
    for _ in 0..50 {
        let process = container.exec(&process(&["true"]), Stdio::Inherit).expect("exec");
        assert_eq!(process.wait().expect("waited"), ExitStatus::Code(0));
    }
    container.delete().expect("deleted");
    assert_eq!(output.text(), "");
}
