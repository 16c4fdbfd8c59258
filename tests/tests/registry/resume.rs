//! A pull that is cut off goes on where it was: killed, or its registry gone.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use sandbox_tests::{Running, Sandbox};

use sandbox_tests::registry::{Guard, Registry, expect_clean, publish, store};

/// What the store has of blobs: whole ones with `None`, cut-off ones with their length.
fn blobs(sandbox: &Sandbox) -> HashMap<String, Option<u64>> {
    let names = |dir: &str| -> Vec<(String, u64)> {
        let entries = fs::read_dir(sandbox.root.join("blobs").join(dir)).into_iter().flatten().flatten();
        let entry = |e: fs::DirEntry| {
            let length = e.metadata().map_or(0, |m| m.len());
            (e.file_name().to_string_lossy().into_owned(), length)
        };
        entries.map(entry).collect()
    };
    let mut found: HashMap<_, _> =
        names("sha256").into_iter().map(|(hex, _)| (format!("sha256:{hex}"), None)).collect();
    for (name, length) in names("partial") {
        if let Some(hex) = name.strip_prefix("sha256-")
            && hex.len() == 64
        {
            found.entry(format!("sha256:{hex}")).or_insert(Some(length));
        }
    }
    found
}

fn start_pull(sandbox: &Sandbox, reference: &str) -> Running {
    Running(sandbox.command().args(["pull", reference]).spawn().unwrap())
}

/// Every blob that the second pull asked for was asked for from where the first one had stopped.
#[track_caller]
fn expect_only_the_rest(registry: &Registry, had: &HashMap<String, Option<u64>>) {
    for (digest, status, bytes) in registry.sent_blobs() {
        match had.get(&digest) {
            None | Some(Some(0)) => {}
            Some(None) => panic!("{digest} was whole and came again"),
            Some(Some(length)) => {
                assert_eq!(status, 206, "{digest} came again from its beginning, {length} bytes were there");
                let size = size_of(registry, &digest);
                assert!(
                    bytes <= size - length,
                    "{digest}: {bytes} bytes came, {} were missing",
                    size - length
                );
            }
        }
    }
}

/// The size of a blob in the registry's own directory.
fn size_of(registry: &Registry, digest: &str) -> u64 {
    let hex = digest.trim_start_matches("sha256:");
    let path = registry.data().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
    path.metadata().unwrap().len()
}

#[test]
fn killed_at_ten_points_it_goes_on_where_it_was() {
    let registry = Registry::start(Guard::default());
    let reference = publish(&registry, "debian.tar", "big/debian:1");
    // How long a whole one takes here, so that the ten points lie in it.
    let (_dir, sandbox) = store();
    let begin = Instant::now();
    sandbox.sandbox(["pull", &reference]).expect_code(0);
    let whole = begin.elapsed();
    for point in 0..10 {
        let (_dir, sandbox) = store();
        let mut pull = start_pull(&sandbox, &reference);
        std::thread::sleep(whole * point / 10);
        pull.0.kill().unwrap();
        let _ = pull.finish();
        let had = blobs(&sandbox);
        // It may be sending to the dead still, and logs that when it notices.
        while !registry.sent_blobs().is_empty() {
            std::thread::sleep(Duration::from_secs(1));
        }
        // Nothing half looks whole.
        sandbox.sandbox(["system", "check", "--images"]).expect_code(0);
        let images = sandbox.sandbox(["images", "-q"]).expect_code(0).stdout;
        let again = sandbox.sandbox(["pull", &reference]).expect_code(0).stdout;
        assert!(images.is_empty() || again.contains("up to date"), "{images} {again}");
        expect_only_the_rest(&registry, &had);
        expect_clean(&sandbox);
    }
}

#[test]
fn a_registry_that_dies_in_the_middle_is_named_and_the_rest_comes_later() {
    let mut registry = Registry::start(Guard::default());
    let reference = publish(&registry, "debian.tar", "big/debian:1");
    let (_dir, sandbox) = store();
    let pull = start_pull(&sandbox, &reference);
    let end = Instant::now() + Duration::from_mins(1);
    while !blobs(&sandbox).values().any(|length| length.is_some_and(|n| n > 0)) {
        assert!(Instant::now() < end, "nothing comes");
        std::thread::sleep(Duration::from_millis(1));
    }
    registry.kill();
    let failed = pull.finish();
    // It may have had everything already; then there is nothing to resume.
    if failed.code != 0 {
        assert!(failed.stderr.contains(&registry.host()), "{}", failed.stderr);
        assert!(sandbox.sandbox(["images", "-q"]).expect_code(0).stdout.is_empty());
    }
    sandbox.sandbox(["system", "check", "--images"]).expect_code(0);
    let had = blobs(&sandbox);
    let _ = registry.sent_blobs();
    registry.revive();
    sandbox.sandbox(["pull", &reference]).expect_code(0);
    expect_only_the_rest(&registry, &had);
    expect_clean(&sandbox);
}

#[test]
fn two_pulls_at_once_fetch_everything_once() {
    let registry = Registry::start(Guard::default());
    let reference = publish(&registry, "debian.tar", "big/debian:1");
    let (_dir, sandbox) = store();
    let _ = registry.sent_blobs();
    let pulls: Vec<_> = (0..3).map(|_| start_pull(&sandbox, &reference)).collect();
    for pull in pulls {
        pull.finish().expect_code(0);
    }
    let mut seen = HashMap::new();
    for (digest, ..) in registry.sent_blobs() {
        *seen.entry(digest).or_insert(0) += 1;
    }
    assert!(!seen.is_empty() && seen.values().all(|times| *times == 1), "{seen:?}");
    expect_clean(&sandbox);
}
