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

/// What changes from run to run is taken out: when it is looked at, and where. The age of an image is in a column whose width
/// follows, so columns are told apart by a bar.
fn steady(text: &str, root: &str) -> String {
    let mut steady = String::new();
    for line in text.replace(root, "ROOT").lines() {
        let line = match line.split_once("\"LastTagTime\": ") {
            Some((indent, _)) => format!("{indent}\"LastTagTime\": NOW"),
            None if line.starts_with([' ', '{', '[']) => line.to_owned(),
            None => columns(line),
        };
        steady.extend([&line, "\n"]);
    }
    steady
}

fn columns(line: &str) -> String {
    let is_age = |word: &str| word.ends_with(" ago") && word.starts_with(|c: char| c.is_ascii_digit());
    let words = line.split("   ").map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| if is_age(word) { "AGO" } else { word }).collect::<Vec<_>>().join(" | ")
}

#[test]
fn tables_and_json_of_the_fixtures_are_dockers() {
    let dir = tempfile::TempDir::new_in(sandbox_tests::scratch()).unwrap();
    let fresh = Sandbox::at(dir.path());
    for image in ["alpine.tar", "python.tar"] {
        fresh.sandbox(["load", "-q", "-i", &fixture(image)]).expect_code(0);
    }
    let mut all = String::new();
    for line in [
        "images",
        "images --digests --no-trunc",
        "images -q",
        "images --format {{.Repository}}:{{.Tag}}={{.ID}}({{.Size}})",
        "history python:3.12-alpine",
        "history --no-trunc --format {{.ID}}|{{.Size}}|{{.CreatedAt}} python:3.12-alpine",
        "image inspect alpine",
        "image inspect --format {{json.Config.Env}}{{len.RootFS.Layers}} python:3.12-alpine",
        "system df",
        "system df -v",
        "system df --format {{json.}}",
    ] {
        let words: Vec<String> =
            line.split(' ').map(|word| word.replace("json.", "json .").replace("len.", "len .")).collect();
        let out = fresh.sandbox(&words).expect_code(0);
        all.extend(["$ sandbox ", line, "\n", &out.stdout]);
    }
    let root = fresh.root.to_str().unwrap().to_owned();
    let seen = steady(&all, &root);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/snapshots/images.txt");
    if std::env::var_os("SANDBOX_SNAPSHOTS").is_some() {
        std::fs::write(file, &seen).unwrap();
    }
    assert_eq!(seen, include_str!("snapshots/images.txt"), "SANDBOX_SNAPSHOTS=1 writes {file} anew");
}
