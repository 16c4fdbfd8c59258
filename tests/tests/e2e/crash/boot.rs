//! What runs again after the host went down.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{HostState, OurProcess, Sandbox, until};

use super::own_root;

/// A loss of power, as far as it can be had on a machine that is needed: nothing of ours runs any more, whatever it was doing,
/// and the run directory, a tmpfs, is empty.
fn lose_power(sandbox: &Sandbox) {
    until(
        || {
            let left = OurProcess::all(sandbox);
            for process in &left {
                // It may be gone with its parent.
                let _ = kill(process.pid, Signal::SIGKILL);
            }
            left
        },
        Vec::is_empty,
    );
    fs::remove_dir_all(&sandbox.run_root).unwrap();
}

fn states(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let out = sandbox.sandbox(["ps", "-a", "--format", "{{.Names}} {{.State}}"]).expect_code(0).stdout;
    out.lines().filter_map(|line| line.split_once(' ')).map(|(n, s)| (n.to_owned(), s.to_owned())).collect()
}

#[rstest]
fn policies_decide_what_runs_after_a_boot(#[values(Process, Vm)] isolation: Isolation) {
    let (_dir, sandbox) = own_root();
    let before = HostState::of(&sandbox);
    for (name, policy) in
        [("always", "always"), ("unless", "unless-stopped"), ("down", "unless-stopped"), ("none", "no")]
    {
        let script = "echo begun; exec sleep 1000";
        let flags = ["run", "-d", "--isolation", isolation.name(), "--name", name, "--restart", policy];
        sandbox.sandbox([&flags[..], &["localhost/busybox", "sh", "-c", script]].concat()).expect_code(0);
    }
    sandbox.sandbox(["stop", "-t", "0", "down"]).expect_code(0);
    lose_power(&sandbox);

    let expected = |running: &[&str]| -> BTreeMap<String, String> {
        ["always", "unless", "down", "none"]
            .iter()
            .map(|name| {
                let state = if running.contains(name) { "running" } else { "exited" };
                ((*name).to_owned(), state.to_owned())
            })
            .collect()
    };
    assert_eq!(states(&sandbox), expected(&[]), "before the boot");
    sandbox.sandbox(["system", "boot"]).expect_code(0);
    until(|| states(&sandbox), |states| *states == expected(&["always", "unless"]));
    for name in ["always", "unless"] {
        sandbox.sandbox(["exec", name, "true"]).expect_code(0);
        let said = sandbox.sandbox(["logs", name]).expect_code(0).stdout;
        assert_eq!(said, "begun\nbegun\n", "{name}: what it said before is kept");
    }
    // A second boot finds nothing to do.
    sandbox.sandbox(["system", "boot"]).expect_code(0);
    assert_eq!(states(&sandbox), expected(&["always", "unless"]));
    assert_eq!(sandbox.sandbox(["system", "check"]).expect_code(0).stdout, "");

    sandbox.sandbox(["rm", "-f", "always", "unless", "down", "none"]).expect_code(0);
    assert_eq!(HostState::of(&sandbox), before);
}
