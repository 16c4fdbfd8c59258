//! Images of other systems, and the embedded one.

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{Sandbox, fixture};

#[rstest]
fn python(#[values(Process, Vm)] isolation: Isolation) {
    let program = "import ssl,sqlite3,ctypes,asyncio; print(sum(range(10**6)))";
    let out =
        Sandbox::shared().run(isolation, ["python:3.12-alpine", "python3", "-c", program]).expect_code(0);
    assert_eq!(out.stdout, "499999500000\n");
}

#[rstest]
#[case::apt("apt-get --version | head -1", "apt 2.6")]
#[case::dpkg("dpkg -l | tail -1", "zlib1g")]
#[case::perl("perl -e 'print 42'", "42")]
fn debian(#[values(Process, Vm)] isolation: Isolation, #[case] script: &str, #[case] expected: &str) {
    let out = Sandbox::shared().run(isolation, ["debian:bookworm", "sh", "-c", script]).expect_code(0);
    assert!(out.stdout.contains(expected), "{}", out.stdout);
}

#[rstest]
fn embedded_image_needs_no_load(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::TempDir::new_in(sandbox_tests::scratch()).unwrap();
    let fresh = Sandbox::at(dir.path());
    let out = fresh.run(isolation, ["localhost/busybox", "echo", "hello"]).expect_code(0);
    assert_eq!(out.stdout, "hello\n");
}

#[test]
fn load_and_images_tell_what_is_there() {
    let dir = tempfile::TempDir::new_in(sandbox_tests::scratch()).unwrap();
    let fresh = Sandbox::at(dir.path());
    let out = fresh.sandbox(["load", "-i", &fixture("alpine.tar")]).expect_code(0);
    assert_eq!(out.stdout, "Loaded image: alpine:latest\n");
    let table = fresh.sandbox(["images"]).expect_code(0).stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
    assert_eq!(rows[1][..2], ["alpine", "latest"]);
    let id = fresh.sandbox(["images", "-q"]).expect_code(0).stdout;
    assert_eq!(id.trim().len(), 12);
    fresh.run(Process, [id.trim(), "true"]).expect_code(0);
}
