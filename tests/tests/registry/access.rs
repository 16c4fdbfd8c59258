//! Who may: private authorities, passwords, tokens.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use sandbox_tests::{Output, Running, Sandbox};

use sandbox_tests::registry::{Guard, PASSWORD, Registry, USER, expect_clean, publish, run, skopeo, store};

/// `sandbox` with a configuration file and a docker configuration of its own.
struct Person {
    sandbox: Sandbox,
    config: std::path::PathBuf,
    docker: std::path::PathBuf,
}

impl Person {
    fn command(&self) -> Command {
        let mut command = self.sandbox.command();
        command.arg("--config").arg(&self.config).env("DOCKER_CONFIG", &self.docker);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.command().args(arguments))
    }

    fn login(&self, host: &str, password: &str) -> Output {
        let mut command = self.command();
        command.args(["login", "-u", USER, "--password-stdin", host]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child: Child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        Running(child).finish()
    }
}

#[test]
fn a_private_authority_and_a_password() {
    let registry = Registry::start(Guard { tls: true, password: true });
    let host = registry.host();
    let reference = format!("{host}/private/app:1");
    let from = format!("oci-archive:{}", sandbox_tests::fixture("alpine.tar"));
    let credentials = format!("{USER}:{PASSWORD}");
    let to = format!("docker://{reference}");
    skopeo(&["copy", "-q", "--dest-tls-verify=false", "--dest-creds", &credentials, &from, &to]);

    let (dir, sandbox) = store();
    let (config, docker) = (dir.path().join("config.toml"), dir.path().join("docker"));
    // An authority that did not sign this certificate: named as the cause, nothing comes in.
    let stranger = Registry::start(Guard { tls: true, password: false });
    let trust = |path: &std::path::Path| {
        let text = format!("[registries.ca]\n\"{host}\" = [\"{}\"]\n", path.display());
        fs::write(&config, text).unwrap();
    };
    trust(&stranger.authority());
    let person = Person { sandbox, config: config.clone(), docker };
    let refused = person.run(&["pull", &reference]).expect_code(1).stderr;
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");

    trust(&registry.authority());
    let denied = person.run(&["pull", &reference]).expect_code(1).stderr;
    assert!(denied.contains("denied") || denied.contains("unauthorized"), "{denied}");
    let wrong = person.login(&host, "wrong").expect_code(1).stderr;
    assert!(wrong.contains("unauthorized"), "{wrong}");
    assert!(!person.docker.join("config.json").exists());

    let welcome = person.login(&host, PASSWORD).expect_code(0);
    assert!(welcome.stdout.contains("Login Succeeded"), "{welcome:?}");
    person.run(&["pull", &reference]).expect_code(0);
    let copy = format!("{host}/private/copy:1");
    person.run(&["tag", &reference, &copy]).expect_code(0);
    person.run(&["push", &copy]).expect_code(0);
    person.run(&["logout", &host]).expect_code(0);
    person.run(&["pull", &reference]).expect_code(1);
    assert!(person.run(&["images", "-q"]).expect_code(0).stdout.lines().count() == 1);
    expect_clean(&person.sandbox);
}

/// tests/fixtures/token-proxy: the registry behind bearer tokens.
struct TokenProxy(Child, String);

impl TokenProxy {
    fn start(registry: &Registry) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/token-proxy.py");
        let mut command = Command::new("python3");
        command.args([program, &registry.host(), USER, PASSWORD]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        Self(child, line.trim().to_owned())
    }
}

impl Drop for TokenProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn bearer_tokens_anonymous_to_pull_and_by_password_to_push() {
    let registry = Registry::start(Guard::default());
    publish(&registry, "alpine.tar", "public/alpine:1");
    let proxy = TokenProxy::start(&registry);
    let host = &proxy.1;
    let (dir, sandbox) = store();
    let config = dir.path().join("config.toml");
    fs::write(&config, "").unwrap();
    let person = Person { sandbox, config, docker: dir.path().join("docker") };

    let reference = format!("{host}/public/alpine:1");
    person.run(&["pull", &reference]).expect_code(0);
    let mine = format!("{host}/mine/alpine:1");
    person.run(&["tag", &reference, &mine]).expect_code(0);
    let denied = person.run(&["push", &mine]).expect_code(1).stderr;
    assert!(denied.contains("denied") || denied.contains("unauthorized"), "{denied}");
    person.login(host, PASSWORD).expect_code(0);
    person.run(&["push", &mine]).expect_code(0);
    let direct = format!("docker://{}/mine/alpine:1", registry.host());
    skopeo(&["inspect", "--raw", "--tls-verify=false", &direct]);
    expect_clean(&person.sandbox);
}
