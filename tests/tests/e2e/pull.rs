//! A run pulls what is not there, from the mirror that the configuration names for docker.io.

use std::fs;

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::Sandbox;
use sandbox_tests::registry::{Guard, Registry, run, store};

#[rstest]
fn a_run_pulls_what_is_not_there(#[values(Process, Vm)] isolation: Isolation) {
    let registry = Registry::start(Guard::default());
    let shared = Sandbox::shared();
    let upstream = format!("{}/library/alpine:latest", registry.host());
    shared.sandbox(["tag", "alpine", &upstream]).expect_code(0);
    shared.sandbox(["push", "-q", &upstream]).expect_code(0);
    shared.sandbox(["rmi", &upstream]).expect_code(0);

    let (dir, sandbox) = store();
    let config = dir.path().join("config.toml");
    let mirrors = format!("\"docker.io\" = [\"http://{}\"]", registry.host());
    let text = format!("[registries]\nmirrors-only = [\"docker.io\"]\n[registries.mirrors]\n{mirrors}\n");
    fs::write(&config, text).unwrap();
    let start = |pull: &str, image: &str| {
        let mut command = sandbox.command();
        command.arg("--config").arg(&config).args(["run", "--rm", "--isolation", isolation.name()]);
        run(command.args([pull, image, "echo", "hi"]))
    };

    start("--pull=never", "alpine").expect_code(125);
    let first = start("--pull=missing", "alpine").expect_code(0);
    assert_eq!(first.stdout, "hi\n");
    let begin = "Unable to find image 'alpine:latest' locally\nlatest: Pulling from library/alpine\n";
    assert!(first.stderr.starts_with(begin), "{}", first.stderr);
    assert!(first.stderr.contains("Status: Downloaded newer image for alpine:latest\n"), "{}", first.stderr);
    let second = start("--pull=missing", "alpine").expect_code(0);
    assert_eq!((second.stdout.as_str(), second.stderr.as_str()), ("hi\n", ""));
    let always = start("--pull=always", "alpine").expect_code(0);
    assert!(always.stderr.contains("Status: Image is up to date for alpine:latest\n"), "{}", always.stderr);
    start("--pull=missing", "alpine:nope").expect_code(125);
}
