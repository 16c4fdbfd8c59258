use super::*;
use rstest::rstest;

fn parsed(line: &[&str]) -> Result<Cli, Usage> {
    let line: Vec<OsString> = line.iter().map(OsString::from).collect();
    parse(&line)
}

fn defaults() -> sandbox_engine::Settings {
    let path = std::path::Path::new(sandbox_engine::DEFAULT_CONFIG);
    sandbox_engine::Settings::resolve(path, sandbox_engine::Flags::default()).unwrap()
}

fn run_flags(line: &[&str]) -> run::CreateFlags {
    let full: Vec<&str> = ["sandbox", "run"].iter().chain(line).copied().collect();
    match parsed(&full).unwrap().command {
        Command::Run(flags) => flags.create,
        other => panic!("{other:?}"),
    }
}

fn usage(line: &[&str]) -> (String, u8) {
    let usage = parsed(line).unwrap_err();
    (usage.text, usage.code)
}

#[test]
fn options_stop_at_the_image() {
    let flags = run_flags(&["--rm", "alpine", "ls", "-la", "--rm=false", "--name", "x", "--", "-h"]);
    assert!(flags.rm && flags.name.is_none());
    assert_eq!(flags.image_and_command, ["alpine", "ls", "-la", "--rm=false", "--name", "x", "--", "-h"]);
    let flags = run_flags(&["--", "alpine", "-x"]);
    assert_eq!(flags.image_and_command, ["alpine", "-x"]);
}

#[rstest]
#[case(&["-it", "a"], true, true)]
#[case(&["-ti", "a"], true, true)]
#[case(&["-i", "-t", "a"], true, true)]
#[case(&["-i=true", "--tty=0", "a"], true, false)]
#[case(&["-t", "a"], false, true)]
#[case(&["--interactive", "a"], true, false)]
fn switches(#[case] line: &[&str], #[case] interactive: bool, #[case] tty: bool) {
    let flags = run_flags(line);
    assert_eq!((flags.interactive, flags.tty), (interactive, tty));
}

#[test]
fn repeated_flags_and_attached_values() {
    let flags =
        run_flags(&["--name", "a", "--name=b", "-e", "X=1", "-eY=2", "--env=Z=3", "-m64m", "-v/a:/b", "a"]);
    assert_eq!(flags.name.as_deref(), Some("b"));
    assert_eq!(flags.env, ["X=1", "Y=2", "Z=3"]);
    assert_eq!(flags.memory, Some(64 << 20));
    assert_eq!(flags.volume, ["/a:/b"]);
}

#[test]
fn negative_values() {
    let flags = run_flags(&["--pids-limit", "-1", "--memory-swap", "-1", "a"]);
    assert_eq!((flags.pids_limit, flags.memory_swap), (Some(-1), Some(-1)));
    assert_eq!(run_flags(&["--ulimit", "core=-1", "a"]).ulimit[0].hard, u64::MAX);
}

#[test]
fn an_entrypoint_may_be_empty_and_a_value_may_look_like_a_flag() {
    assert_eq!(run_flags(&["--entrypoint", "", "a"]).entrypoint.as_deref(), Some(""));
    assert_eq!(run_flags(&["--entrypoint=", "a"]).entrypoint.as_deref(), Some(""));
}

#[test]
fn a_flag_that_is_not_there() {
    assert_eq!(
        usage(&["sandbox", "run", "--foo", "alpine"]),
        (
            "unknown flag: --foo\n\nUsage:  sandbox run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
             Run 'sandbox run --help' for more information"
                .to_owned(),
            125
        )
    );
    let (text, code) = usage(&["sandbox", "run", "-z", "alpine"]);
    assert!(text.starts_with("unknown shorthand flag: 'z' in -z\n\nUsage:  sandbox run "), "{text}");
    assert_eq!(code, 125);
}

#[rstest]
#[case(&["-m", "x", "a"], "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'")]
#[case(&["--cpus", "x", "a"], "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational number")]
#[case(&["--rm=x", "a"], "invalid argument \"x\" for \"--rm\" flag: strconv.ParseBool: parsing \"x\": invalid syntax")]
#[case(&["--ulimit", "x", "a"], "invalid argument \"x\" for \"--ulimit\" flag: invalid ulimit argument: x")]
#[case(&["--mount", "type=bind", "a"], "invalid argument \"type=bind\" for \"--mount\" flag: target is required")]
#[case(&["--name"], "flag needs an argument: --name")]
#[case(&["-e"], "flag needs an argument: --env")]
fn values_that_are_wrong(#[case] line: &[&str], #[case] want: &str) {
    let full: Vec<&str> = ["sandbox", "run"].iter().chain(line).copied().collect();
    let (text, code) = usage(&full);
    assert_eq!(text.lines().next(), Some(want), "{text}");
    assert!(text.ends_with("Run 'sandbox run --help' for more information"));
    assert_eq!(code, 125);
}

#[test]
fn commands_and_their_arguments() {
    assert_eq!(
        usage(&["sandbox", "foo"]),
        ("sandbox: unknown command: sandbox foo\n\nRun 'sandbox --help' for more information".to_owned(), 1)
    );
    assert_eq!(
        usage(&["sandbox", "run"]),
        (
            "sandbox: 'sandbox run' requires at least 1 argument\n\nUsage:  sandbox run [OPTIONS] IMAGE [COMMAND] \
             [ARG...]\n\nRun 'sandbox run --help' for more information"
                .to_owned(),
            1
        )
    );
    let (text, code) = usage(&["sandbox", "load", "x"]);
    assert!(text.starts_with("sandbox: 'sandbox load' accepts no arguments"), "{text}");
    assert_eq!(code, 1);
    let (text, code) = usage(&["sandbox", "images", "a", "b"]);
    assert!(text.starts_with("sandbox: 'sandbox images' requires at most 1 argument"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn help_and_version() {
    let (text, code) = usage(&["sandbox"]);
    assert!(text.starts_with("Usage:  sandbox [OPTIONS] COMMAND") && text.contains("run"), "{text}");
    assert_eq!(code, 0);
    let (text, code) = usage(&["sandbox", "--version"]);
    assert_eq!((text, code), (format!("sandbox {}", env!("CARGO_PKG_VERSION")), 0));
    let (text, code) = usage(&["sandbox", "run", "--help"]);
    assert!(
        text.starts_with("Usage:  sandbox run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nCreate and run"),
        "{text}"
    );
    assert!(text.contains("--isolation"));
    assert_eq!(code, 0);
}

#[test]
fn help_of_an_image_command() {
    let (text, code) = usage(&["sandbox", "history", "--help"]);
    assert_eq!(
        text,
        "Usage:  sandbox history [OPTIONS] IMAGE\n\nShow the history of an image\n\nOptions:\n      --format string   Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'\n  -H, --human           \
         Print sizes and dates in human readable format [default: true]\n      --no-trunc        Don't truncate output\n  \
         -q, --quiet           Only show image IDs\n  -h, --help            Print help"
    );
    assert_eq!(code, 0);
    let (text, _) = usage(&["sandbox", "image"]);
    assert!(
        text.starts_with("Usage:  sandbox image COMMAND\n\nManage images\n\nCommands:\n  history"),
        "{text}"
    );
    assert!(
        text.ends_with("Run 'sandbox image COMMAND --help' for more information on a command."),
        "{text}"
    );
}

#[rstest]
#[case(&["tag", "a"], "'sandbox tag' requires 2 arguments")]
#[case(&["tag", "a", "b", "c"], "'sandbox tag' requires 2 arguments")]
#[case(&["pull"], "'sandbox pull' requires 1 argument")]
#[case(&["rmi"], "'sandbox rmi' requires at least 1 argument")]
#[case(&["image", "inspect"], "'sandbox image inspect' requires at least 1 argument")]
#[case(&["image", "remove"], "'sandbox image rm' requires at least 1 argument")]
#[case(&["ps", "x"], "'sandbox ps' accepts no arguments")]
#[case(&["container", "prune", "x"], "'sandbox container prune' accepts no arguments")]
#[case(&["container", "rm"], "'sandbox container rm' requires at least 1 argument")]
#[case(&["port"], "'sandbox port' requires at least 1 and at most 2 arguments")]
#[case(&["top"], "'sandbox top' requires at least 1 argument")]
#[case(&["pause"], "'sandbox pause' requires at least 1 argument")]
#[case(&["login", "a", "b"], "'sandbox login' requires at most 1 argument")]
#[case(&["import", "a", "b", "c"], "'sandbox import' requires at least 1 and at most 2 arguments")]
#[case(&["system", "df", "x"], "'sandbox system df' accepts no arguments")]
fn counts_of_arguments(#[case] line: &[&str], #[case] want: &str) {
    let full: Vec<&str> = ["sandbox"].iter().chain(line).copied().collect();
    let (text, code) = usage(&full);
    assert_eq!(text.lines().next().unwrap(), format!("sandbox: {want}"));
    assert_eq!(code, 1);
}

#[test]
fn switches_and_filters_as_go_reads_them() {
    let line =
        ["sandbox", "images", "-q=false", "--no-trunc=1", "-f", "label=a=b", "--filter=Dangling = true"];
    let Command::Images(flags) = parsed(&line).unwrap().command else { panic!("another command") };
    assert!(!flags.quiet && flags.no_trunc);
    assert_eq!(flags.filter[0], value::Filter { key: "label".to_owned(), value: "a=b".to_owned() });
    assert_eq!(flags.filter[1], value::Filter { key: "dangling".to_owned(), value: "true".to_owned() });
    let (text, code) = usage(&["sandbox", "images", "--filter", "x"]);
    assert!(
        text.starts_with(
            "invalid argument \"x\" for \"-f, --filter\" flag: bad format of filter (expected name=value)"
        ),
        "{text}"
    );
    assert_eq!(code, 125);
    let (text, _) = usage(&["sandbox", "pull", "--platform", "a/b/c/d", "x"]);
    assert!(
        text.starts_with("invalid argument \"a/b/c/d\" for \"--platform\" flag: invalid platform"),
        "{text}"
    );
}

#[test]
fn commands_of_one_kind_are_one() {
    for line in [["image", "ls"], ["image", "list"]] {
        let full: Vec<&str> = ["sandbox"].into_iter().chain(line).collect();
        let command = parsed(&full).unwrap().command;
        assert!(matches!(command, Command::Image { what: image::ImageCommand::Ls(_) }), "{line:?}");
    }
    for verb in ["rm", "remove", "rmi"] {
        let command = parsed(&["sandbox", "image", verb, "x"]).unwrap().command;
        assert!(matches!(command, Command::Image { what: image::ImageCommand::Rm(_) }), "{verb}");
    }
}

#[test]
fn containers_are_listed_by_four_commands() {
    use containers::ContainerCommand;
    for line in [&["ps"][..], &["container", "ls"], &["container", "list"], &["container", "ps"]] {
        let full: Vec<&str> = ["sandbox"]
            .into_iter()
            .chain(line.iter().copied())
            .chain(["-qn", "3", "-f", "Status=exited"])
            .collect();
        let flags = match parsed(&full).unwrap().command {
            Command::Ps(flags) | Command::Container { what: ContainerCommand::Ls(flags) } => flags,
            other => panic!("{other:?}"),
        };
        assert!(flags.quiet && !flags.all, "{line:?}");
        assert_eq!((flags.last, flags.filter[0].key.as_str()), (3, "status"));
    }
}

#[test]
fn what_an_update_changes() {
    let update = |line: &[&str]| {
        let full: Vec<&str> = ["sandbox", "update"].iter().chain(line).copied().collect();
        let Command::Update(flags) = parsed(&full).unwrap().command else { panic!("another command") };
        flags.limits().map_err(|failure| failure.text().to_owned())
    };
    let limits = update(&["-m", "64m", "--cpus=1.5", "--pids-limit", "-1", "web"]).unwrap();
    assert_eq!(
        (limits.memory, limits.nano_cpus, limits.pids),
        (Some(64 << 20), Some(1_500_000_000), Some(-1))
    );
    assert!(update(&["--restart", "always", "web"]).is_ok());
    assert_eq!(
        update(&["web"]).unwrap_err(),
        "sandbox: you must provide one or more flags when using this command"
    );
    let text = update(&["-c", "-5", "web"]).unwrap_err();
    assert!(text.contains("invalid CPU shares (-5)"), "{text}");
}

#[test]
fn options_of_the_log_driver_that_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(
        &config,
        "[engine]\nlog-driver = \"local\"\nlog-opts = { max-size = \"1m\", max-file = \"2\" }\n",
    )
    .unwrap();
    let settings = sandbox_engine::Settings::resolve(&config, sandbox_engine::Flags::default()).unwrap();
    let log = |line: &[&str]| run_flags(line).request(true, &settings).unwrap().log;
    let own = log(&["--log-opt", "max-size=2m", "alpine"]);
    assert_eq!(own.driver.as_deref(), Some("local"));
    assert_eq!((own.options["max-size"].as_str(), own.options["max-file"].as_str()), ("2m", "2"));
    let other = log(&["--log-driver", "json-file", "alpine"]);
    assert_eq!((other.driver.as_deref(), other.options.len()), (Some("json-file"), 0));
}

#[test]
fn kinds_of_objects() {
    for kind in ["container", "image", "network", "volume"] {
        assert!(parsed(&["sandbox", "inspect", "--type", kind, "x"]).is_ok());
    }
    let (text, _) = usage(&["sandbox", "inspect", "--type", "node", "x"]);
    assert!(text.contains("\"node\" is not a valid value for --type"), "{text}");
}

#[test]
fn a_request_from_flags() {
    let settings = sandbox_engine::Settings::resolve(
        sandbox_engine::DEFAULT_CONFIG.as_ref(),
        sandbox_engine::Flags::default(),
    );
    let request = run_flags(&[
        "--isolation=vm",
        "-e",
        "A=1",
        "--cap-add",
        "NET_ADMIN,SYS_TIME",
        "--network",
        "none",
        "--tmpfs",
        "/run",
        "--mount",
        "type=tmpfs,dst=/x",
        "-v",
        "data:/y",
        "--security-opt",
        "no-new-privileges",
        "-h",
        "web",
        "--label",
        "a=b",
        "--stop-signal",
        "INT",
        "--entrypoint",
        "cat",
        "alpine",
        "-n",
    ])
    .request(true, &settings.unwrap())
    .unwrap();
    assert_eq!(request.isolation, sandbox_engine::Isolation::Vm);
    assert_eq!(request.mounts.iter().map(|m| m.target.as_str()).collect::<Vec<_>>(), ["/y", "/x", "/run"]);
    assert_eq!(request.privileges.cap_add, ["NET_ADMIN", "SYS_TIME"]);
    assert!(request.privileges.security.no_new_privileges);
    assert_eq!(request.hostname.as_deref(), Some("web"));
    assert_eq!(request.process.command, ["-n"]);
    assert_eq!(request.process.stop_signal, Some(2));
    assert_eq!(request.labels["a"], "b");
}

#[test]
fn logs_and_events() {
    match parsed(&["sandbox", "logs", "-ft", "-n", "-1", "--since=10m", "web"]).unwrap().command {
        Command::Logs(flags) => {
            assert!(flags.follow && flags.timestamps && !flags.details);
            assert_eq!((flags.tail.as_str(), flags.since.as_deref()), ("-1", Some("10m")));
            assert_eq!(flags.container, "web");
        }
        other => panic!("{other:?}"),
    }
    for line in
        [&["sandbox", "events", "-f", "type=image"][..], &["sandbox", "system", "events", "-f", "type=image"]]
    {
        match parsed(line).unwrap().command {
            Command::Events(flags) | Command::System { what: system::SystemCommand::Events(flags) } => {
                assert_eq!((flags.filter[0].key.as_str(), flags.filter[0].value.as_str()), ("type", "image"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn namespaces_limits_and_devices_from_flags() {
    let request = run_flags(&[
        "--pid=host",
        "--ipc=container:web",
        "--uts=host",
        "--cgroupns=private",
        "--userns=host",
        "--cpu-period=50000",
        "--cpu-quota=25000",
        "--blkio-weight=300",
        "--blkio-weight-device=/dev/sda:500",
        "--device-read-bps=/dev/sda:1mb",
        "--device-write-iops=/dev/sda:100",
        "--device=/dev/fuse:rw",
        "--device-cgroup-rule=c 189:* rwm",
        "--cgroup-parent=/ours",
        "--volumes-from=web:ro",
        "--expose=80",
        "--expose=53/udp",
        "--runtime=sandbox-vm",
        "--volume-driver=local",
        "--stop-timeout=-1",
        "alpine",
    ])
    .request(true, &defaults())
    .unwrap();
    assert_eq!(request.namespaces.pid, sandbox_engine::parse::namespace::Pid::Host);
    assert_eq!(request.isolation, sandbox_engine::Isolation::Vm);
    assert_eq!((request.limits.cpu_period, request.limits.cpu_quota), (Some(50_000), Some(25_000)));
    assert_eq!(request.limits.block_io.weight, Some(300));
    assert_eq!(request.limits.block_io.weights[0].weight, 500);
    assert_eq!(request.limits.block_io.read_bps[0].rate, 1 << 20);
    assert_eq!(request.limits.block_io.write_iops[0].rate, 100);
    assert_eq!(request.device_rules, ["c 189:* rwm"]);
    assert_eq!(request.cgroup_parent.as_deref(), Some("/ours"));
    assert!(request.volumes_from[0].read_only);
    assert_eq!(request.exposed.iter().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
    assert_eq!(request.process.stop_timeout, Some(-1));
}

#[rstest]
#[case("--pid=x", "--pid: invalid PID mode")]
#[case("--ipc=x", "invalid IPC mode: x")]
#[case("--uts=x", "--uts: invalid UTS mode")]
#[case("--cgroupns=x", "--cgroupns: invalid CGROUP mode")]
#[case("--userns=x", "--userns: invalid USER mode")]
#[case("--runtime=kata", "unknown or invalid runtime name: kata; there are")]
#[case("--volume-driver=nfs", "error looking up volume plugin nfs: plugin \"nfs\" not found")]
#[case("--memory-swappiness=101", "Invalid value: 101, valid memory swappiness range is 0-100")]
#[case("--replace", "cannot replace container without --name being set")]
#[case("--kernel-memory=1g", "--kernel-memory: Linux has no limit on kernel memory alone any more")]
#[case("--link=db", "--link: links copy environments")]
#[case("--gpus=all", "could not select device driver \"\" with capabilities: [[gpu]]: --gpus all")]
#[case(
    "--storage-opt=size=1g",
    "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
)]
#[case("--storage-opt=x", "Unknown option x")]
fn refused_requests(#[case] flag: &str, #[case] want: &str) {
    let failure = run_flags(&[flag, "alpine"]).request(true, &defaults()).unwrap_err();
    assert!(failure.text().contains(want), "{failure:?}");
}

#[test]
fn a_runtime_and_an_isolation_that_contradict() {
    let flags = run_flags(&["--runtime=sandbox-vm", "--isolation=process", "alpine"]);
    let failure = flags.request(true, &defaults()).unwrap_err();
    let want = "conflicting options: --runtime sandbox-vm and --isolation=process";
    assert!(failure.text().contains(want), "{failure:?}");
}

#[test]
fn what_is_accepted_and_not_done_is_told() {
    assert!(run_flags(&["--memory-swappiness=-1", "alpine"]).warnings().is_empty());
    let flags = run_flags(&["--memory-swappiness=0", "--oom-kill-disable", "alpine"]);
    flags.request(true, &defaults()).unwrap();
    let warnings = flags.warnings();
    assert!(warnings[0].ends_with("Memory swappiness discarded."));
    assert_eq!(warnings[1], "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
}

#[test]
fn flags_are_listed_by_name() {
    for verb in ["run", "create"] {
        let (text, _) = usage(&["sandbox", verb, "--help"]);
        let names: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("  -") || line.starts_with("      --"))
            .filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("--")))
            .filter(|name| *name != "help")
            .collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(names, sorted, "{verb}");
        assert!(names.len() > 60 && !names.contains(&"link"), "{names:?}");
    }
}

#[test]
fn bare_keys_in_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# comment\nA=1\nHOME\nNOT_SET_ANYWHERE\n").unwrap();
    let path = file.path().to_str().unwrap();
    let request =
        run_flags(&["--env-file", path, "--label-file", path, "alpine"]).request(true, &defaults()).unwrap();
    let home = std::env::var("HOME").map(|home| format!("HOME={home}"));
    assert_eq!(request.process.env, std::iter::once("A=1".to_owned()).chain(home).collect::<Vec<_>>());
    let labels: Vec<_> = request.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("A", "1"), ("HOME", ""), ("NOT_SET_ANYWHERE", "")]);
}
