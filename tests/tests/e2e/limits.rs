//! Resource limits hold, and hit only the one who asked for them.

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::Sandbox;

/// Python holds what it allocates; the image is the fixture's.
#[rstest]
fn memory_bomb_is_killed(#[values(Process, Vm)] isolation: Isolation) {
    Sandbox::shared()
        .run(
            isolation,
            [
                "-m",
                "64m",
                "python:3.12-alpine",
                "python3",
                "-c",
                "b = bytearray(b'x') * 200_000_000; print(len(b))",
            ],
        )
        .expect_code(137);
    Sandbox::shared().run(isolation, ["alpine", "true"]).expect_code(0);
}

#[rstest]
fn memory_within_the_limit_is_there(#[values(Process, Vm)] isolation: Isolation) {
    let out = Sandbox::shared()
        .run(
            isolation,
            [
                "-m",
                "64m",
                "python:3.12-alpine",
                "python3",
                "-c",
                "b = bytearray(b'x') * 40_000_000; print(len(b))",
            ],
        )
        .expect_code(0);
    assert_eq!(out.stdout, "40000000\n");
}

#[rstest]
fn limits_can_be_read_inside(#[values(Process, Vm)] isolation: Isolation) {
    let script = "cd /sys/fs/cgroup; cat memory.max pids.max cpu.max";
    let out = Sandbox::shared()
        .run(isolation, ["-m", "96m", "--pids-limit", "50", "--cpus", "0.5", "alpine", "sh", "-c", script])
        .expect_code(0);
    assert_eq!(out.stdout, "100663296\n50\n50000 100000\n");
}

#[rstest]
fn fork_bomb_is_contained(#[values(Process, Vm)] isolation: Isolation) {
    let script = "i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo not-limited";
    let out = Sandbox::shared().run(isolation, ["--pids-limit", "20", "alpine", "sh", "-c", script]);
    assert_ne!(out.code, 0, "{}", out.stdout);
    assert!(!out.stdout.contains("not-limited"));
    assert!(out.stderr.contains("can't fork"), "{}", out.stderr);
}

#[rstest]
fn half_a_cpu(#[values(Process, Vm)] isolation: Isolation) {
    let script = "import time\nt, c = time.monotonic(), time.process_time()\nwhile time.monotonic() - t < 4: pass\nprint((time.process_time() - c) / (time.monotonic() - t))";
    let out = Sandbox::shared()
        .run(isolation, ["--cpus", "0.5", "python:3.12-alpine", "python3", "-c", script])
        .expect_code(0);
    let share: f64 = out.stdout.trim().parse().unwrap();
    assert!(share < 0.62, "used {share} of a CPU");
}

#[rstest]
#[case::memory(&["-m", "1m"], "Minimum memory limit allowed is 6MB")]
#[case::cpus(&["--cpus", "-1"], "cpus")]
#[case::ulimit(&["--ulimit", "nope=1"], "ulimit")]
fn senseless_limits_are_refused(
    #[values(Process, Vm)] isolation: Isolation,
    #[case] flags: &[&str],
    #[case] text: &str,
) {
    let out = Sandbox::shared().run(isolation, flags.iter().chain(&["alpine", "true"])).expect_code(125);
    assert!(out.stderr.contains(text), "{}", out.stderr);
}

#[rstest]
fn ulimits_apply(#[values(Process, Vm)] isolation: Isolation) {
    let out = Sandbox::shared()
        .run(
            isolation,
            [
                "--ulimit",
                "nofile=123:456",
                "--ulimit",
                "core=0",
                "alpine",
                "sh",
                "-c",
                "ulimit -Sn; ulimit -Hn; ulimit -c",
            ],
        )
        .expect_code(0);
    assert_eq!(out.stdout, "123\n456\n0\n");
}
