use super::*;
use rstest::rstest;

fn parsed(line: &[&str]) -> Result<Cli, Usage> {
    let line: Vec<OsString> = line.iter().map(OsString::from).collect();
    parse(&line)
}

fn run_flags(line: &[&str]) -> run::RunFlags {
    let full: Vec<&str> = ["sandbox", "run"].iter().chain(line).copied().collect();
    match parsed(&full).unwrap().command {
        Command::Run(flags) => *flags,
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
fn a_request_from_flags() {
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
    .request()
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
