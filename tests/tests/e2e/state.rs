//! What containers are told to be, and what can be changed of them while they run.

use std::time::Duration;

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{Container, LIMIT, Sandbox, Terminal, has_controller, make, sandbox, until};

#[rstest]
fn a_paused_container_stands_still(#[values(Process, Vm)] isolation: Isolation) {
    let script = "while :; do echo x; sleep 0.05; done";
    let container = Container::started(isolation, "paused", &[], &["sh", "-c", script]);
    let said = || container.does(&["logs"]).expect_code(0).stdout.len();
    until(said, |said| *said > 0);
    let out = container.does(&["unpause"]).expect_code(1);
    assert!(out.stderr.contains("is not paused"), "{out:?}");
    assert_eq!(container.does(&["pause"]).expect_code(0).stdout.trim(), container.name);

    assert_eq!(
        container.inspect("{{.State.Status}} {{.State.Paused}} {{.State.Running}}"),
        "paused true true"
    );
    let filter = format!("name=^{}$", container.name);
    let listed =
        ["ps", "--filter", &filter, "--filter", "status=paused", "--format", "{{.State}}|{{.Status}}"];
    let out = sandbox(&listed).expect_code(0).stdout;
    assert!(out.starts_with("paused|Up ") && out.ends_with(" (Paused)\n"), "{out}");
    let id = container.inspect("{{.Id}}");
    for (verb, text) in [
        (
            &["exec", &container.name, "true"][..],
            format!("Container {id} is paused, unpause the container before exec"),
        ),
        (&["pause", &container.name], "is already paused".to_owned()),
        (
            &["rm", &container.name],
            format!(
                "cannot remove container \"{}\": container is paused and must be unpaused first",
                container.name
            ),
        ),
    ] {
        let out = sandbox(verb).expect_code(1);
        assert!(out.stderr.contains(&text), "{out:?}");
    }
    // What was on its way when the pause began has come by now.
    let before = said();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(said(), before, "it runs on");

    container.does(&["unpause"]).expect_code(0);
    until(said, |now| *now > before);
    container.does(&["pause"]).expect_code(0);
    container.does(&["kill"]).expect_code(0);
    assert_eq!(
        container.inspect("{{.State.Status}} {{.State.Paused}} {{.State.ExitCode}}"),
        "exited false 137"
    );
    assert_eq!(container.does(&["wait"]).expect_code(0).stdout, "137\n");
    let out = container.does(&["pause"]).expect_code(1);
    assert!(out.stderr.contains(&format!("container {id} is not running")), "{out:?}");
}

/// Flags of `run` and of `update`, the file that shows it inside, and what it then says.
const LIMITS: [(&str, [&str; 3], [&str; 3], &str); 3] = [
    ("memory", ["-m", "128m", "134217728"], ["-m", "100m", "104857600"], "memory.max"),
    ("pids", ["--pids-limit", "50", "50"], ["--pids-limit", "30", "30"], "pids.max"),
    ("cpu", ["--cpus", "0.8", "80000 100000"], ["--cpus", "0.5", "50000 100000"], "cpu.max"),
];

#[rstest]
fn limits_of_a_running_container_change(#[values(Process, Vm)] isolation: Isolation) {
    // On hosts whose controllers are elsewhere a container of theirs cannot have these limits.
    let here = LIMITS.map(|limit| (isolation == Vm || has_controller(limit.0)).then_some(limit));
    let here: Vec<_> = here.into_iter().flatten().collect();
    let flags = |new: bool| -> Vec<&str> {
        here.iter()
            .flat_map(|(_, old, changed, _)| if new { &changed[..2] } else { &old[..2] })
            .copied()
            .collect()
    };
    let container = Container::started(isolation, "limited", &flags(false), &["sleep", "1000"]);
    let expect = |new: bool| {
        for (_, old, changed, file) in &here {
            let out = container.exec(&["cat", &format!("/sys/fs/cgroup/{file}")]).expect_code(0);
            assert_eq!(out.stdout.trim_end(), if new { changed[2] } else { old[2] }, "{file}");
        }
    };
    expect(false);
    if !here.is_empty() {
        let update = container.does(&[&["update"], &flags(true)[..]].concat()).expect_code(0);
        assert_eq!(update.stdout.trim(), container.name);
    }
    expect(true);
    container.does(&["restart", "-t", "0"]).expect_code(0);
    expect(true);
    let told = container.inspect("{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}");
    if here.len() == LIMITS.len() {
        assert_eq!(told, "104857600 500000000 30");
    }
    container.does(&["update", "--restart", "on-failure:3"]).expect_code(0);
    assert_eq!(
        container
            .inspect("{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}"),
        "on-failure:3"
    );
    let out = container.does(&["update", "-m", "1m"]).expect_code(1);
    assert!(out.stderr.contains("Minimum memory limit"), "{out:?}");
}

#[rstest]
fn lists_tell_the_truth_in_every_state(#[values(Process, Vm)] isolation: Isolation) {
    let label = format!("listed={}", isolation.name());
    let flags = ["--label", label.as_str(), "--hostname", "listed"];
    let container = Container::created(isolation, "listed", &flags, &["sleep", "1000"]);
    let label = format!("label={label}");
    let list = |more: &[&str]| {
        let fixed = ["ps", "--filter", label.as_str(), "--format", "{{.Names}} {{.State}} {{.Isolation}}"];
        sandbox(&[&fixed, more].concat()).expect_code(0).stdout
    };
    let line = |state: &str| format!("{} {state} {}\n", container.name, isolation.name());
    assert_eq!(list(&[]), "", "only what runs");
    assert_eq!(list(&["-a"]), line("created"));
    assert_eq!(container.inspect("{{.State.Status}} {{.State.Pid}}"), "created 0");
    container.does(&["start"]).expect_code(0);

    assert_eq!(list(&[]), line("running"));
    assert_eq!(list(&["--filter", "status=running", "--filter", "status=paused"]), line("running"));
    assert_eq!(list(&["--filter", "status=exited"]), "");
    let isolations = [
        format!("isolation={}", isolation.name()),
        "isolation=vm".to_owned(),
        "isolation=process".to_owned(),
    ];
    assert_eq!(list(&["--filter", &isolations[0]]), line("running"));
    assert_eq!(list(&["--filter", &isolations[if isolation == Vm { 2 } else { 1 }]]), "");
    let id = container.inspect("{{.Id}}");
    assert_eq!(sandbox(&["ps", "-q", "--filter", &label]).expect_code(0).stdout, format!("{}\n", &id[..12]));
    assert_eq!(list(&["--filter", &format!("id={}", &id[..20])]), line("running"));
    let template =
        "{{.Name}} {{.State.Running}} {{.RestartCount}} {{.HostConfig.Isolation}} {{.Config.Hostname}}";
    assert_eq!(
        container.inspect(template),
        format!("/{} true 0 {} listed", container.name, isolation.name())
    );
    let pid: i32 = container.inspect("{{.State.Pid}}").parse().unwrap();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is on this host");

    let top = container.does(&["top"]).expect_code(0).stdout;
    let lines: Vec<_> = top.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("UID") && lines[1].ends_with("sleep 1000"), "{top}");
    let stats = container.does(&["stats", "--no-stream", "--format", "json"]).expect_code(0).stdout;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["Name"], &stats["ID"]), (&container.name.as_str().into(), &id[..12].into()));
    assert!(stats["CPUPerc"].as_str().unwrap().ends_with('%'), "{stats}");
    if isolation == Vm || has_controller("memory") {
        assert!(!stats["MemUsage"].as_str().unwrap().starts_with("0B"), "{stats}");
    }
    if isolation == Vm || has_controller("pids") {
        assert_eq!(stats["PIDs"], "1", "{stats}");
    }
    assert_eq!(container.does(&["port"]).expect_code(0).stdout, "");
    let out = sandbox(&["port", &container.name, "80"]).expect_code(1);
    assert!(out.stderr.contains("No public port '80"), "{out:?}");

    let renamed = format!("{}-anew", container.name);
    sandbox(&["rename", &container.name, &renamed]).expect_code(0);
    assert_eq!(
        sandbox(&["inspect", "-f", "{{.Name}}", &renamed]).expect_code(0).stdout,
        format!("/{renamed}\n")
    );
    let out = container.does(&["inspect"]).expect_code(1);
    assert_eq!((out.stdout.as_str(), out.stderr.contains("no such object")), ("[]\n", true), "{out:?}");
    sandbox(&["rename", &renamed, &container.name]).expect_code(0);

    container.does(&["kill"]).expect_code(0);
    assert_eq!(list(&["-a", "--filter", "exited=137"]), line("exited"));
    assert_eq!(list(&["-a", "--filter", "exited=0"]), "");
    let out = sandbox(&["ps", "-a", "--filter", &label, "--format", "{{.Status}}"]).expect_code(0).stdout;
    assert!(out.starts_with("Exited (137) ") && out.ends_with(" ago\n"), "{out}");
    for (prune, removed) in [("label=nobody-has-this", false), (label.as_str(), true)] {
        let out = sandbox(&["container", "prune", "-f", "--filter", prune]).expect_code(0).stdout;
        assert_eq!(out.contains(&format!("Deleted Containers:\n{id}\n\n")), removed, "{out}");
        assert!(out.contains("Total reclaimed space: "), "{out}");
    }
    let out = container.does(&["start"]).expect_code(1);
    assert!(out.stderr.contains("No such container"), "{out:?}");
}

#[rstest]
fn health_checks_turn(#[values(Process, Vm)] isolation: Isolation) {
    let flags = ["--health-cmd", "test -e /well", "--health-interval", "2s", "--health-retries", "2"];
    let container = Container::started(isolation, "health", &flags, &["sleep", "1000"]);
    let health = || container.inspect("{{.State.Health.Status}}");
    // An interval passes before the first check; the second failure decides.
    assert_eq!(health(), "starting");
    until(health, |health| health == "unhealthy");
    let filter = format!("name=^{}$", container.name);
    let listed = ["ps", "--filter", &filter, "--filter", "health=unhealthy", "--format", "{{.Status}}"];
    let out = sandbox(&listed).expect_code(0).stdout;
    assert!(out.ends_with(" (unhealthy)\n"), "{out}");
    container.exec(&["touch", "/well"]).expect_code(0);
    until(health, |health| health == "healthy");
    let filter = format!("container={}", container.name);
    let events =
        ["events", "--since", "1h", "--until", "0s", "--filter", &filter, "--filter", "event=health_status"];
    let out = sandbox(&[&events[..], &["--format", "{{.Action}}"]].concat()).expect_code(0).stdout;
    assert_eq!(out, "health_status: unhealthy\nhealth_status: healthy\n");
}

/// The documents' own examples.
#[rstest]
fn a_shell_and_a_ping(#[values(Process, Vm)] isolation: Isolation) {
    let ping = Container::new(isolation, "ping");
    let command = ["/bin/sh", "-c", "ping 127.0.0.1 -c 3"];
    make("run", isolation, &ping.name, &["-d"], &command).expect_code(0);

    let shell = Container::new(isolation, "shell");
    let mut command = Sandbox::shared().command();
    command.args([
        "run",
        "-i",
        "-t",
        "--isolation",
        isolation.name(),
        "--name",
        &shell.name,
        "alpine",
        "/bin/sh",
    ]);
    let mut terminal = Terminal::start(command, 24, 80);
    terminal.expect("# ", LIMIT);
    terminal.send("echo he\"llo\"\r");
    terminal.expect("hello\r\n", LIMIT);
    terminal.send("exit 5\r");
    assert_eq!(terminal.finish(LIMIT), (5, true));
    assert_eq!(shell.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 5");

    assert_eq!(ping.does(&["wait"]).expect_code(0).stdout, "0\n");
    let said = ping.does(&["logs"]).expect_code(0).stdout;
    assert_eq!(said.matches("64 bytes from 127.0.0.1: seq=").count(), 3, "{said}");
    assert!(said.contains("3 packets transmitted, 3 packets received, 0% packet loss"), "{said}");
    let filter = format!("name=^{}$", ping.name);
    let out = sandbox(&["ps", "-a", "--filter", &filter, "--format", "{{.Status}}"]).expect_code(0).stdout;
    assert!(out.starts_with("Exited (0) "), "{out}");
}
