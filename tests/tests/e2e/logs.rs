//! What a container said, and what is told of its life.

use std::fs;
use std::io::{BufRead, BufReader};

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{Container, LIMIT, Output, Running, Sandbox, Terminal, make, sandbox, until};

/// Speaks until it is told to stop.
const LOOP: &str =
    "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo out$i; echo err$i >&2; sleep 0.2; done; exit 4";

fn logs(container: &Container, flags: &[&str]) -> Output {
    container.does(&[&["logs"], flags].concat()).expect_code(0)
}

/// A reader that stays.
fn follower(container: &Container) -> Running {
    let mut command = Sandbox::shared().command();
    Running(command.args(["logs", "-f", &container.name]).spawn().unwrap())
}

#[rstest]
fn a_loop_is_read_while_it_runs_and_after(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::started(isolation, "logs", &[], &["sh", "-c", LOOP]);
    until(|| logs(&container, &[]), |out| out.stdout.contains("out3\n"));
    let follower = follower(&container);
    container.exec(&["touch", "/stop"]).expect_code(0);
    let followed = follower.finish().expect_code(0);
    assert_eq!(container.does(&["wait"]).expect_code(0).stdout, "4\n");

    let all = logs(&container, &[]);
    let count = all.stdout.lines().count();
    let said = |word: &str| (1..=count).map(|n| format!("{word}{n}\n")).collect::<Vec<_>>().concat();
    assert_eq!((&all.stdout, &all.stderr), (&said("out"), &said("err")), "apart, whole and in order");
    assert_eq!((&followed.stdout, &followed.stderr), (&all.stdout, &all.stderr));
    let again = logs(&container, &["-f"]);
    assert_eq!(again.stdout, all.stdout, "nothing more comes: it does not wait");

    let tail = logs(&container, &["--tail", "2"]);
    assert_eq!(
        (tail.stdout, tail.stderr),
        (format!("out{count}\n"), format!("err{count}\n")),
        "the last two of both streams together"
    );
    let none = logs(&container, &["-n", "0"]);
    assert_eq!(none.stdout + &none.stderr, "");

    let stamped = logs(&container, &["-t"]).stdout;
    let second = stamped.lines().nth(1).unwrap();
    let (moment, text) = second.split_once(' ').unwrap();
    assert!(moment.len() == 30 && moment.ends_with('Z') && text == "out2", "{second}");
    let since = logs(&container, &["--since", moment]).stdout;
    assert_eq!(since, all.stdout.strip_prefix("out1\n").unwrap(), "that moment and later");
    let before = logs(&container, &["--until", moment]).stdout;
    assert!(before.starts_with("out1\n") && !before.contains("out3"), "{before}");
    assert_eq!(logs(&container, &["--since", "1h"]).stdout, all.stdout);

    container.does(&["rm"]).expect_code(0);
    let out = container.does(&["logs"]).expect_code(1);
    assert!(out.stderr.contains(&format!("No such container: {}", container.name)), "{out:?}");
}

/// Some 12 kB of records at a time, more than one file may hold.
const BURSTS: &str = "n=0; while [ $n -lt 6 ]; do until [ -e /go$n ]; do sleep 0.05; done; i=100
    while [ $i -lt 220 ]; do echo burst-$n-line-$i-of-some-length; i=$((i+1)); done; n=$((n+1)); done";

#[rstest]
fn a_reader_survives_rotation(#[values(Process, Vm)] isolation: Isolation) {
    let flags = ["--log-opt", "max-size=10k", "--log-opt", "max-file=2"];
    let container = Container::started(isolation, "rotated", &flags, &["sh", "-c", BURSTS]);
    let path = container.inspect("{{.LogPath}}");
    let (dir, name) = path.rsplit_once('/').unwrap();
    let mut follower = follower(&container);
    let mut lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    for burst in 0..6 {
        // The next burst waits for the reader: how far it may fall behind is the machine's, not ours.
        container.exec(&["touch", &format!("/go{burst}")]).expect_code(0);
        for line in 100..220 {
            let seen = lines.next().unwrap().unwrap();
            assert_eq!(seen, format!("burst-{burst}-line-{line}-of-some-length"));
        }
        let files = fs::read_dir(dir).unwrap().flatten();
        let sizes: Vec<u64> = files
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(name))
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .collect();
        assert!(sizes.len() <= 2 && sizes.iter().all(|size| *size <= 10_000), "{sizes:?}");
    }
    assert!(lines.next().is_none(), "it ends with the container");
    follower.finish().expect_code(0);
    let kept = logs(&container, &[]).stdout;
    assert!(kept.ends_with("burst-5-line-219-of-some-length\n"), "{kept}");
    assert!(!kept.contains("burst-0"), "there is no place for all");
}

#[rstest]
fn a_driver_that_keeps_nothing(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::new(isolation, "unkept");
    let out = make("run", isolation, &container.name, &["--log-driver", "none"], &["echo", "said"]);
    assert_eq!(out.expect_code(0).stdout, "said\n");
    let out = container.does(&["logs"]).expect_code(1);
    assert!(out.stderr.contains("configured logging driver does not support reading"), "{out:?}");
    let out = sandbox(&["create", "--log-driver", "nonsense", "alpine"]).expect_code(125);
    assert!(out.stderr.contains("nonsense"), "{out:?}");
}

/// One client reads nothing; the container, its log and another client do not wait for it.
#[rstest]
fn a_stalled_client_stalls_nobody(#[values(Process, Vm)] isolation: Isolation) {
    let script = "until [ -e /go ]; do sleep 0.05; done; seq 100000 199999; echo end; sleep 1000";
    let container = Container::started(isolation, "stalled", &[], &["sh", "-c", script]);
    let attach = || {
        let mut command = Sandbox::shared().command();
        command.args(["attach", "--no-stdin", "--sig-proxy=false", &container.name]);
        command
    };
    let mut stalled = attach().spawn().unwrap();
    let mut reader = Terminal::start(attach(), 24, 80);
    // Both are there before it speaks: what an attached client missed does not come again.
    until(|| logs_of_attach(&container), |attached| *attached >= 2);
    container.exec(&["touch", "/go"]).expect_code(0);
    reader.expect("end\r\n", LIMIT);
    until(|| logs(&container, &["--tail", "1"]).stdout, |last| last == "end\n");
    stalled.kill().unwrap();
    stalled.wait().unwrap();
    container.does(&["kill"]).expect_code(0);
    assert_eq!(reader.finish(LIMIT).0, 137);
}

/// How many clients have been attached.
fn logs_of_attach(container: &Container) -> usize {
    let filter = format!("container={}", container.name);
    let out = sandbox(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        &filter,
        "--filter",
        "event=attach",
    ]);
    out.expect_code(0).stdout.lines().count()
}

#[rstest]
fn a_life_is_told_in_events(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::created(isolation, "told", &["--label", "k=v"], &["sleep", "1000"]);
    container.does(&["start"]).expect_code(0);
    container.exec(&["sh", "-c", "exit 3"]).expect_code(3);
    container.does(&["pause"]).expect_code(0);
    container.does(&["unpause"]).expect_code(0);
    container.does(&["kill"]).expect_code(0);
    assert_eq!(container.does(&["wait"]).expect_code(0).stdout, "137\n");
    container.does(&["rm"]).expect_code(0);

    let filter = format!("container={}", container.name);
    let events = |more: &[&str]| {
        let fixed = ["events", "--since", "1h", "--until", "0s", "--filter", filter.as_str()];
        sandbox(&[&fixed, more].concat()).expect_code(0).stdout
    };
    let actions = events(&["--format", "{{.Action}}"]);
    let expected = [
        "create",
        "start",
        "exec_create: sh -c exit 3",
        "exec_start: sh -c exit 3",
        "exec_die",
        "pause",
        "unpause",
        "kill",
        "die",
        "destroy",
    ];
    assert_eq!(actions.lines().collect::<Vec<_>>(), expected);
    let die = events(&["--filter", "event=die", "--format", "{{json .Actor.Attributes}}"]);
    let attributes: serde_json::Value = serde_json::from_str(&die).unwrap();
    assert_eq!(attributes["exitCode"], "137", "{die}");
    assert_eq!(attributes["name"], container.name, "{die}");
    assert_eq!(attributes["image"], "alpine", "{die}");
    assert_eq!(attributes["k"], "v", "{die}");
}
