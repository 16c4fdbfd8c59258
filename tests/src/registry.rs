//! A real registry with a directory of its own, and the tools beside it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Output, Sandbox};
use tempfile::TempDir;

pub const USER: &str = "tester";
pub const PASSWORD: &str = "correct horse";

/// What stands in front of the blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guard {
    /// TLS with a certificate of a private authority (`Registry::authority`).
    pub tls: bool,
    /// Basic authentication with [`USER`] and [`PASSWORD`].
    pub password: bool,
}

#[derive(Debug)]
pub struct Registry {
    dir: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Registry {
    pub fn start(guard: Guard) -> Self {
        let dir = TempDir::new_in("/var/tmp").unwrap();
        let port = free_port();
        let path = dir.path().display();
        let mut tls = String::new();
        let mut auth = String::new();
        if guard.tls {
            certificates(dir.path());
            tls = format!("  tls: {{certificate: {path}/server.pem, key: {path}/server.key}}\n");
        }
        if guard.password {
            let line = run(Command::new("htpasswd").args(["-Bbn", USER, PASSWORD])).expect_code(0).stdout;
            fs::write(dir.path().join("htpasswd"), line).unwrap();
            auth = format!("auth: {{htpasswd: {{realm: tests, path: {path}/htpasswd}}}}\n");
        }
        let config = format!(
            "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: false}}}}\n\
             storage: {{filesystem: {{rootdirectory: {path}/data}}}}\nhttp:\n  addr: 127.0.0.1:{port}\n{tls}{auth}"
        );
        fs::write(dir.path().join("config.yml"), config).unwrap();
        let mut registry = Self { dir, port, process: None };
        registry.revive();
        registry
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate of the authority that vouches for it.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again where it was.
    pub fn revive(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.dir.path().join("config.yml")).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().expect("docker-registry"));
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < end, "{}", fs::read_to_string(self.log()).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it keeps its content.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The blobs that were asked for since the last call: digest, status, bytes sent.
    pub fn sent_blobs(&self) -> Vec<(String, u16, u64)> {
        let text = fs::read_to_string(self.log()).unwrap();
        fs::write(self.log(), "").unwrap();
        let mut found = Vec::new();
        for line in text.lines().filter(|line| line.contains("] \"GET /v2/") && line.contains("/blobs/")) {
            let (_, rest) = line.split_once("/blobs/").unwrap();
            let mut words = rest.split_whitespace();
            let digest = words.next().unwrap().to_owned();
            let mut numbers = words.skip(1);
            let status = numbers.next().unwrap().parse().unwrap();
            found.push((digest, status, numbers.next().unwrap().parse().unwrap()));
        }
        found
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A private authority and a certificate of 127.0.0.1 by it.
fn certificates(dir: &Path) {
    let openssl = |arguments: &[&str]| {
        run(Command::new("openssl").current_dir(dir).args(arguments)).expect_code(0);
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let authority = ["-x509", "-subj", "/CN=Tests", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&["req"], &key[..], &authority[..]].concat());
    openssl(&[&["req"], &key[..], &["-subj", "/CN=server", "-keyout", "server.key", "-out", "csr"]].concat());
    fs::write(dir.join("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    let signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    openssl(
        &[&["x509", "-req", "-in", "csr", "-extfile", "ext", "-out", "server.pem"], &signer[..]].concat(),
    );
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    crate::Running(child.unwrap_or_else(|error| panic!("{command:?}: {error}"))).finish()
}

/// `skopeo ARGUMENTS`, which must work; its stdout.
pub fn skopeo(arguments: &[&str]) -> String {
    run(Command::new("skopeo").args(arguments)).expect_code(0).stdout
}

/// Copies a test image into the registry.
pub fn publish(registry: &Registry, fixture: &str, name: &str) -> String {
    let reference = format!("{}/{name}", registry.host());
    let (from, to) = (format!("oci-archive:{}", crate::fixture(fixture)), format!("docker://{reference}"));
    skopeo(&["copy", "-q", "--dest-tls-verify=false", &from, &to]);
    reference
}

/// A store of its own, on a disk.
pub fn store() -> (TempDir, Sandbox) {
    let dir = TempDir::new_in(crate::scratch()).unwrap();
    let sandbox = Sandbox::at(dir.path());
    (dir, sandbox)
}

/// The store has nothing wrong in it.
#[track_caller]
pub fn expect_clean(sandbox: &Sandbox) {
    sandbox.sandbox(["system", "check", "--images"]).expect_code(0);
}
