//! The main job: a real image runs, and its exit code is the command's.

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::Sandbox;

#[rstest]
fn runs_the_real_alpine(#[values(Process, Vm)] isolation: Isolation) {
    let out = Sandbox::shared().run(isolation, ["alpine", "cat", "/etc/os-release"]).expect_code(0);
    assert!(out.stdout.contains("PRETTY_NAME=\"Alpine Linux v3.22\""), "{}", out.stdout);
}

#[rstest]
fn kernel_is_the_hosts_in_process_and_the_guests_in_vm() {
    let host = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let run = |isolation| Sandbox::shared().run(isolation, ["alpine", "uname", "-r"]).expect_code(0).stdout;
    assert_eq!(run(Process), host);
    assert_ne!(run(Vm), host);
    assert!(run(Vm).starts_with("6.12."), "{}", run(Vm));
}

#[rstest]
#[case::success(&["alpine", "true"], 0)]
#[case::failure(&["alpine", "false"], 1)]
#[case::own_code(&["alpine", "sh", "-c", "exit 42"], 42)]
#[case::killed(&["--init", "alpine", "sh", "-c", "kill -9 $$"], 137)]
#[case::child_terminated(&["alpine", "sh", "-c", "sh -c 'kill $$'; exit $?"], 143)]
#[case::directory(&["alpine", "/etc"], 126)]
#[case::not_executable(&["alpine", "/etc/passwd"], 126)]
#[case::not_there(&["alpine", "/nope"], 127)]
#[case::not_in_path(&["alpine", "no-such-program"], 127)]
#[case::bad_flag(&["--badflag", "alpine", "true"], 125)]
#[case::no_image(&["no-such-image", "true"], 125)]
#[case::no_user(&["-u", "nobody-here", "alpine", "true"], 125)]
fn exit_code(#[values(Process, Vm)] isolation: Isolation, #[case] args: &[&str], #[case] code: i32) {
    let out = Sandbox::shared().run(isolation, args).expect_code(code);
    if (125..128).contains(&code) {
        assert!(!out.stderr.trim().is_empty(), "no reason given");
    }
}

#[rstest]
fn stdout_and_stderr_stay_apart(#[values(Process, Vm)] isolation: Isolation) {
    let out =
        Sandbox::shared().run(isolation, ["alpine", "sh", "-c", "echo out; echo err >&2"]).expect_code(0);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("out\n", "err\n"));
}

#[rstest]
fn image_configuration_and_flags_reach_the_process(#[values(Process, Vm)] isolation: Isolation) {
    let script = "pwd; hostname; echo $A-$B; id -u; id -g; echo $HOME; echo \"$@\"";
    let out = Sandbox::shared()
        .run(
            isolation,
            [
                "-e",
                "A=1",
                "-e",
                "B=two",
                "-w",
                "/var/made",
                "-u",
                "guest",
                "--hostname",
                "here",
                "--entrypoint",
                "sh",
                "alpine",
                "-c",
                script,
                "name",
                "x",
                "y z",
            ],
        )
        .expect_code(0);
    assert_eq!(out.stdout, "/var/made\nhere\n1-two\n405\n100\n/dev/null\nx y z\n");
}

#[rstest]
fn env_file_is_read(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    std::fs::write(&file, "# comment\nONE=1\n\nTWO=a b\n").unwrap();
    let out = Sandbox::shared()
        .run(isolation, ["--env-file", file.to_str().unwrap(), "alpine", "sh", "-c", "echo $ONE,$TWO"])
        .expect_code(0);
    assert_eq!(out.stdout, "1,a b\n");
}

#[rstest]
fn init_reaps_and_forwards(#[values(Process, Vm)] isolation: Isolation) {
    let out =
        Sandbox::shared().run(isolation, ["--init", "alpine", "sh", "-c", "echo $$; exit 7"]).expect_code(7);
    assert_ne!(out.stdout, "1\n");
}

#[rstest]
fn read_only_root_with_a_tmpfs(#[values(Process, Vm)] isolation: Isolation) {
    let script = "touch /tmp/x && stat -c %a /tmp && touch /y";
    let out = Sandbox::shared()
        .run(isolation, ["--read-only", "--tmpfs", "/tmp:mode=1777", "alpine", "sh", "-c", script]);
    let out = out.expect_code(1);
    assert_eq!(out.stdout, "1777\n");
    assert!(out.stderr.contains("Read-only file system"), "{}", out.stderr);
}

#[rstest]
fn network_none_has_only_loopback(#[values(Process, Vm)] isolation: Isolation) {
    let out = Sandbox::shared()
        .run(
            isolation,
            [
                "--network",
                "none",
                "alpine",
                "sh",
                "-c",
                "ls /sys/class/net; ping -c 1 127.0.0.1 >/dev/null && echo up",
            ],
        )
        .expect_code(0);
    assert_eq!(out.stdout, "lo\nup\n");
}

#[rstest]
fn host_network_is_the_hosts_or_refused() {
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    let out = Sandbox::shared()
        .run(Process, ["--network", "host", "alpine", "readlink", "/proc/self/ns/net"])
        .expect_code(0);
    assert_eq!(out.stdout.trim(), host.to_str().unwrap());
    let out = Sandbox::shared().run(Vm, ["--network", "host", "alpine", "true"]).expect_code(125);
    assert!(out.stderr.contains("--network host") && out.stderr.contains("VM"), "{}", out.stderr);
}

#[rstest]
fn a_name_is_taken_once(#[values(Process, Vm)] isolation: Isolation) {
    let name = format!("only-{}", isolation.name());
    let mut first = Sandbox::shared().run_command(isolation);
    first
        .args(["-i", "--name", &name, "alpine", "sh", "-c", "echo ready; cat"])
        .stdin(std::process::Stdio::piped());
    let mut first = first.spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(first.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let second = Sandbox::shared().run(isolation, ["--name", &name, "alpine", "true"]).expect_code(125);
    let text = format!("Conflict. The container name \"/{name}\" is already in use by container");
    assert!(second.stderr.contains(&text), "{}", second.stderr);
    drop(first.stdin.take());
    assert_eq!(first.wait().unwrap().code(), Some(0));
    Sandbox::shared().run(isolation, ["--name", &name, "alpine", "true"]).expect_code(0);
}
