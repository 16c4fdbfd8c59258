//! Content goes from tool to tool unchanged.

use std::fs;
use std::process::Command;

use rstest::rstest;

use sandbox_tests::registry::{Guard, Registry, expect_clean, publish, run, skopeo, store};

fn raw_manifest(reference: &str) -> String {
    skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")])
}

#[rstest]
#[case("alpine.tar")]
#[case("python.tar")]
#[case("debian.tar")]
fn what_is_pulled_is_pushed_byte_for_byte(#[case] fixture: &str) {
    let registry = Registry::start(Guard::default());
    let source = publish(&registry, fixture, "from/here:1");
    let (_dir, sandbox) = store();
    let pulled = sandbox.sandbox(["pull", &source]).expect_code(0).stdout;
    assert!(
        pulled.ends_with(&format!("Status: Downloaded newer image for {source}\n{source}\n")),
        "{pulled}"
    );
    let again = sandbox.sandbox(["pull", &source]).expect_code(0).stdout;
    assert!(again.contains(&format!("Status: Image is up to date for {source}")), "{again}");

    let other = format!("{}/to/there:2", registry.host());
    sandbox.sandbox(["tag", &source, &other]).expect_code(0);
    let pushed = sandbox.sandbox(["push", &other]).expect_code(0).stdout;
    assert!(pushed.contains("Mounted from from/here"), "{pushed}");
    assert_eq!(raw_manifest(&source), raw_manifest(&other));

    // Into a registry that has nothing of it, from a store that has lost the names of the first one.
    let empty = Registry::start(Guard::default());
    let far = format!("{}/a/b/c:3", empty.host());
    sandbox.sandbox(["tag", &other, &far]).expect_code(0);
    let pushed = sandbox.sandbox(["push", &far]).expect_code(0).stdout;
    assert!(pushed.contains(": Pushed"), "{pushed}");
    assert_eq!(raw_manifest(&source), raw_manifest(&far));
    let pushed = sandbox.sandbox(["push", &far]).expect_code(0).stdout;
    assert!(pushed.contains("Layer already exists") && !pushed.contains(": Pushed"), "{pushed}");
    expect_clean(&sandbox);
}

#[test]
fn saved_archives_are_read_by_others_and_theirs_by_us() {
    let registry = Registry::start(Guard::default());
    let source = publish(&registry, "python.tar", "lib/python:3");
    let (dir, sandbox) = store();
    sandbox.sandbox(["pull", "-q", &source]).expect_code(0);
    let id = sandbox.sandbox(["images", "-q", "--no-trunc"]).expect_code(0).stdout;
    let path = |name: &str| dir.path().join(name).display().to_string();
    sandbox.sandbox(["save", "-o", &path("ours.tar"), &source]).expect_code(0);

    // skopeo reads it both ways, and writes what we read.
    for transport in ["oci-archive", "docker-archive"] {
        let from = format!("{transport}:{}", path("ours.tar"));
        let config = skopeo(&["inspect", "--config", "--raw", &from]);
        assert!(config.contains("PYTHON_VERSION"), "{transport}: {config}");
        let theirs = path(&format!("{transport}.tar"));
        skopeo(&["copy", "-q", &from, &format!("{transport}:{theirs}:their/name:1")]);
        let (_other_dir, other) = store();
        let loaded = other.sandbox(["load", "-i", &theirs]).expect_code(0).stdout;
        assert!(loaded.starts_with("Loaded image"), "{loaded}");
        assert_eq!(other.sandbox(["images", "-q", "--no-trunc"]).expect_code(0).stdout, id, "{transport}");
        expect_clean(&other);
    }

    // umoci unpacks it, and an image that umoci changed is loaded.
    let layout = path("layout");
    fs::create_dir(&layout).unwrap();
    run(Command::new("tar").args(["-xf", &path("ours.tar"), "-C", &layout])).expect_code(0);
    let tag = skopeo_tag(&layout);
    let image = format!("{layout}:{tag}");
    run(Command::new("umoci").args(["unpack", "--image", &image, &path("bundle")])).expect_code(0);
    assert!(dir.path().join("bundle/rootfs/usr/local/bin/python3").exists());
    fs::write(dir.path().join("bundle/rootfs/added"), "by umoci").unwrap();
    let repacked = format!("{layout}:repacked");
    run(Command::new("umoci").args(["repack", "--image", &repacked, &path("bundle")])).expect_code(0);
    let (_other_dir, other) = store();
    other.sandbox(["load", "-i", &layout]).expect_code(0);
    let images = other.sandbox(["images", "-q"]).expect_code(0).stdout;
    assert_eq!(images.lines().count(), 2, "{images}");
    expect_clean(&other);
}

/// The first tag of a layout, as umoci names it.
fn skopeo_tag(layout: &str) -> String {
    let tags = run(Command::new("umoci").args(["list", "--layout", layout])).expect_code(0).stdout;
    tags.lines().next().expect("a tag").to_owned()
}
