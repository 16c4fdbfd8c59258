//! Containers that live without the command that made them: every verb on every state, the same in both isolations.

use std::time::{Duration, Instant};

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{Container, LIMIT, Running, Sandbox, Terminal, make, sandbox};

/// A shell that catches USR1 and ignores TERM.
const STUBBORN: &str =
    "trap 'echo caught >> /tmp/log' USR1; trap '' TERM; touch /tmp/ready; while :; do sleep 0.1; done";

#[rstest]
fn a_container_outlives_its_command(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::started(isolation, "outlives", &[], &["sh", "-c", STUBBORN]);
    container.until(&["test", "-e", "/tmp/ready"]);
    assert_eq!(
        container.exec(&["sh", "-c", "echo out; echo err >&2; exit 7"]).expect_code(7).stdout,
        "out\n"
    );
    container.does(&["kill", "-s", "USR1"]).expect_code(0);
    container.until(&["test", "-e", "/tmp/log"]);

    let began = Instant::now();
    let out = container.does(&["stop", "-t", "1"]).expect_code(0);
    assert_eq!(out.stdout.trim(), container.name);
    assert!(began.elapsed() >= Duration::from_secs(1), "it ignores TERM");
    assert_eq!(container.does(&["wait"]).expect_code(0).stdout, "137\n");

    // What it wrote is there when it runs again.
    container.does(&["start"]).expect_code(0);
    container.until(&["grep", "caught", "/tmp/log"]);
    let new_name = format!("{}-again", container.name);
    sandbox(&["rename", &container.name, &new_name]).expect_code(0);
    let refused = sandbox(&["rm", &new_name]).expect_code(1);
    assert!(
        refused.stderr.contains(&format!(
            "cannot remove container \"{new_name}\": container is running: stop the container before removing or force remove"
        )),
        "{refused:?}"
    );
    sandbox(&["rename", &new_name, &container.name]).expect_code(0);
    container.does(&["restart", "-t", "0"]).expect_code(0);
    container.until(&["true"]);
    container.does(&["rm", "-f"]).expect_code(0);
    assert!(container.does(&["start"]).expect_code(1).stderr.contains("No such container"));
}

/// What a verb says of a container in each of its states.
#[rstest]
fn verbs_on_every_state(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::created(isolation, "states", &[], &["sleep", "1000"]);
    let name = container.name.as_str();
    let id = {
        let taken = make("create", isolation, name, &[], &["true"]).expect_code(125).stderr;
        let id = taken.split("by container \"").nth(1).and_then(|rest| rest.get(..64)).map(str::to_owned);
        id.unwrap_or_else(|| panic!("{taken}"))
    };
    let not_running = format!("container {id} is not running");
    let missing = "No such container: nobody";
    for verb in [
        &["start"][..],
        &["stop"],
        &["restart"],
        &["kill"],
        &["rm"],
        &["wait"],
        &["attach"],
        &["rename", "nobody", "x"],
        &["exec", "nobody", "true"],
    ] {
        let named = verb.contains(&"nobody");
        let full = if named { verb.to_vec() } else { [verb, &["nobody"]].concat() };
        let out = sandbox(&full).expect_code(1);
        assert!(out.stderr.contains(missing) && out.stdout.is_empty(), "{full:?}: {out:?}");
    }
    // Created and exited alike: nothing runs.
    for state in ["created", "exited"] {
        let out = container.exec(&["true"]).expect_code(1);
        assert!(out.stderr.contains(&not_running), "{state}: {out:?}");
        let out = container.does(&["kill"]).expect_code(1);
        assert!(
            out.stderr.contains(&format!("cannot kill container: {name}: {not_running}")),
            "{state}: {out:?}"
        );
        let out = container.does(&["attach"]).expect_code(1);
        assert!(out.stderr.contains("cannot attach to a stopped container"), "{state}: {out:?}");
        assert_eq!(container.does(&["stop"]).expect_code(0).stdout.trim(), name, "{state}");
        if state == "created" {
            assert_eq!(container.does(&["start"]).expect_code(0).stdout.trim(), name);
            // One that runs is started already.
            container.does(&["start"]).expect_code(0);
            sandbox(&["exec", &id[..12], "true"]).expect_code(0);
            container.exec(&["/nope"]).expect_code(127);
            container.exec(&["/etc"]).expect_code(126);
            container.does(&["kill"]).expect_code(0);
            assert_eq!(container.does(&["wait"]).expect_code(0).stdout, "137\n");
        }
    }
    container.does(&["rm"]).expect_code(0);
    assert!(container.does(&["rm"]).expect_code(1).stderr.contains("No such container"));
    container.does(&["rm", "-f"]).expect_code(0);
}

#[rstest]
fn attached_twice_and_left_by_keys(#[values(Process, Vm)] isolation: Isolation) {
    let flags = ["-i", "-t", "-e", "PS1=ready> "];
    let container = Container::started(isolation, "attached", &flags, &["sh"]);
    let attach = || {
        let mut command = Sandbox::shared().command();
        command.args(["attach", &container.name]);
        let mut terminal = Terminal::start(command, 30, 90);
        // What the shell says to a line of one's own shows that one is there.
        terminal.send("\r");
        terminal.expect("ready> ", LIMIT);
        terminal
    };
    let (mut one, mut two) = (attach(), attach());
    one.send("echo se\"en\"\r");
    one.expect("seen\r\n", LIMIT);
    two.expect("seen\r\n", LIMIT);
    two.send("stty size\r");
    two.expect("30 90\r\n", LIMIT);
    one.send("\x10\x11");
    assert_eq!(one.finish(LIMIT), (0, true), "detached");
    two.send("echo still he\"re\"\r");
    two.expect("still here\r\n", LIMIT);
    two.send("exit 6\r");
    assert_eq!(two.finish(LIMIT), (6, true));
    assert_eq!(container.does(&["wait"]).expect_code(0).stdout, "6\n");
}

#[rstest]
fn exec_with_a_terminal_and_many_at_once(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::started(isolation, "exec", &["-e", "A=1", "-w", "/tmp"], &["sleep", "1000"]);
    let mut command = Sandbox::shared().command();
    command.args(["exec", "-it", "-e", "PS1=ready> ", &container.name, "sh"]);
    let mut terminal = Terminal::start(command, 33, 99);
    terminal.expect("ready> ", LIMIT);
    terminal.send("stty size; pwd; echo $A\r");
    terminal.expect("33 99\r\n/tmp\r\n1\r\n", LIMIT);
    terminal.resize(44, 111);
    terminal.send("while [ \"$(stty size)\" != '44 111' ]; do :; done; echo it-\"is\"\r");
    terminal.expect("it-is\r\n", LIMIT);
    terminal.send("exit 3\r");
    assert_eq!(terminal.finish(LIMIT), (3, true));

    let flags = ["exec", "-u", "nobody:nogroup", "-w", "/", "-e", "B=2", container.name.as_str()];
    let out = sandbox(&[&flags[..], &["sh", "-c", "id -un; id -gn; pwd; echo $A$B"]].concat()).expect_code(0);
    assert_eq!(out.stdout, "nobody\nnogroup\n/\n12\n");
    let mut child = Sandbox::shared()
        .command()
        .args(["exec", "-i", &container.name, "sha256sum"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &vec![b'x'; 1 << 20]).unwrap();
    let out = Running(child).finish().expect_code(0);
    assert_eq!(out.stdout, "8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b  -\n");

    let many: Vec<_> = (0..50)
        .map(|n| {
            let script = format!("echo {n}; exit {}", n % 5);
            let mut command = Sandbox::shared().command();
            Running(command.args(["exec", &container.name, "sh", "-c", &script]).spawn().unwrap())
        })
        .collect();
    for (n, one) in many.into_iter().enumerate() {
        let out = one.finish().expect_code((n % 5).try_into().unwrap());
        assert_eq!(out.stdout, format!("{n}\n"));
    }
}

#[rstest]
fn policies_start_it_again(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::started(
        isolation,
        "policy",
        &["--restart", "on-failure:2"],
        &["sh", "-c", "echo x >> /count; exit 3"],
    );
    let end = Instant::now() + LIMIT;
    loop {
        // Only one that has ended for good can be started anew, which counts too.
        let out = container.does(&["wait"]).expect_code(0);
        assert_eq!(out.stdout, "3\n");
        let refused = container.does(&["attach"]).expect_code(1).stderr;
        if refused.contains("stopped container") {
            break;
        }
        assert!(Instant::now() < end, "{refused}");
    }
    let out = sandbox(&["start", "-a", &container.name]).expect_code(3);
    assert_eq!(out.stderr, "");
    sandbox(&["create", "--restart", "always", "--rm", "alpine"]).expect_code(125);
    let bad = sandbox(&["create", "--restart", "sometimes", "alpine"]).expect_code(125);
    assert!(bad.stderr.contains("unknown policy 'sometimes'"), "{bad:?}");
}

#[rstest]
fn a_container_of_rm_vanishes_by_itself(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::started(isolation, "vanishes", &["--rm"], &["sleep", "1000"]);
    container.does(&["restart", "-t", "0"]).expect_code(0);
    container.until(&["true"]);
    container.does(&["stop", "-t", "0"]).expect_code(0);
    let out = container.does(&["start"]).expect_code(1);
    assert!(out.stderr.contains("No such container"), "{out:?}");
}
