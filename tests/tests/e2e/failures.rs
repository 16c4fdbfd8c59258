//! What cannot work says why and what to do, with status 125, in bounded time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rstest::rstest;
use sandbox_tests::Isolation::{Process, Vm};
use sandbox_tests::{Output, Running, Sandbox, env};

/// A copy of the installation in which one file can be replaced.
fn broken(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::TempDir::new_in(sandbox_tests::scratch()).unwrap();
    for entry in fs::read_dir(env("SANDBOX_LIBEXEC")).unwrap().flatten() {
        if entry.file_name() != name {
            symlink(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
    }
    fs::write(dir.path().join(name), content).unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

fn run_with(libexec: &Path) -> Output {
    let mut command = Sandbox::shared().run_command(Vm);
    command.env("SANDBOX_LIBEXEC", libexec).args(["alpine", "true"]);
    Running(command.spawn().unwrap()).finish()
}

fn installed(name: &str) -> Vec<u8> {
    fs::read(Path::new(&env("SANDBOX_LIBEXEC")).join(name)).unwrap()
}

#[test]
fn truncated_kernel() {
    let kernel = installed("vmlinux");
    let (_dir, libexec) = broken("vmlinux", &kernel[..kernel.len() / 2]);
    let out = run_with(&libexec).expect_code(125);
    assert!(out.stderr.contains("vmlinux") && out.stderr.contains("truncated"), "{}", out.stderr);
}

#[test]
fn initramfs_that_is_not_one() {
    let (_dir, libexec) = broken("initramfs.cpio", b"this is not a cpio archive at all");
    let out = run_with(&libexec).expect_code(125);
    assert!(out.stderr.contains("initramfs.cpio"), "{}", out.stderr);
}

/// A well-formed initramfs without an agent: the kernel panics, and its last words are reported within the deadline.
#[test]
fn guest_without_an_agent() {
    let trailer = b"07070100000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000B00000000TRAILER!!!\0\0\0\0";
    let (_dir, libexec) = broken("initramfs.cpio", trailer);
    let start = Instant::now();
    let out = run_with(&libexec).expect_code(125);
    assert!(start.elapsed() < Duration::from_mins(2));
    assert!(
        out.stderr.contains("Kernel panic"),
        "the guest's last console lines are missing: {}",
        out.stderr
    );
}

#[test]
fn no_access_to_kvm() {
    let sandbox = Sandbox::shared();
    // Root passes every permission check, so the device itself is hidden in a mount namespace of the command's own.
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount --bind /dev/null /dev/kvm && exec \"$@\"", "sh"]);
    command.arg(env("SANDBOX_BIN")).arg("--root").arg(&sandbox.root).arg("--run-root").arg(&sandbox.run_root);
    command.args(["run", "--rm", "--isolation=vm", "alpine", "true"]).stdin(std::process::Stdio::null());
    let out = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("/dev/kvm") && stderr.contains("--isolation=process"), "{stderr}");
}

#[rstest]
#[case::isolation(&["run", "--isolation=zone", "alpine"], 125, "invalid isolation 'zone' on linux")]
#[case::unknown_flag(&["run", "--foo", "alpine"], 125, "unknown flag: --foo")]
#[case::unknown_command(&["foo"], 1, "unknown command: sandbox foo")]
#[case::no_image_named(&["run"], 1, "requires at least 1 argument")]
#[case::load_of_nothing(&["load", "-i", "/does/not/exist"], 1, "/does/not/exist")]
#[case::bad_reference(&["run", "Not//Valid", "true"], 125, "invalid reference format")]
fn wrong_words(#[case] args: &[&str], #[case] code: i32, #[case] text: &str) {
    let out = Sandbox::shared().sandbox(args).expect_code(code);
    assert!(out.stderr.contains(text), "{}", out.stderr);
}

#[test]
fn doctor_says_what_is_well_and_what_is_not() {
    let out = Sandbox::shared().sandbox(["doctor"]).expect_code(0);
    for word in ["kvm", "cgroup", "overlay", "vmlinux", "initramfs"] {
        assert!(out.stdout.to_lowercase().contains(word), "{word} is not in: {}", out.stdout);
    }
    let (_dir, libexec) = broken("vmlinux", b"");
    fs::remove_file(libexec.join("vmlinux")).unwrap();
    let mut command = Sandbox::shared().command();
    command.env("SANDBOX_LIBEXEC", &libexec).arg("doctor");
    let out = Running(command.spawn().unwrap()).finish().expect_code(1);
    assert!(out.stdout.contains("vmlinux"), "{}", out.stdout);
}

#[test]
fn version_is_printed() {
    let out = Sandbox::shared().sandbox(["--version"]).expect_code(0);
    assert!(out.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", out.stdout);
}

#[test]
fn a_bad_archive_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.tar");
    fs::write(&file, vec![b'x'; 4096]).unwrap();
    let before = Sandbox::shared().sandbox(["images", "--no-trunc"]).expect_code(0).stdout;
    let out = Sandbox::shared().sandbox(["load", "-i", file.to_str().unwrap()]).expect_code(1);
    assert!(!out.stderr.trim().is_empty());
    assert_eq!(Sandbox::shared().sandbox(["images", "--no-trunc"]).expect_code(0).stdout, before);
    Sandbox::shared().run(Process, ["alpine", "true"]).expect_code(0);
}
