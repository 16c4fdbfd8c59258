//! Containers for real: namespaces, mounts, cgroups and programs, as root on the machine at hand.
//!
//! A harness of its own: the core wants a process of one thread. Names given as arguments select tests.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive;
mod basics;
mod figures;
mod hostile;
mod identity;
mod lifecycle;
mod limits;
mod mounts;
mod namespaces;
mod security;
mod shared;
mod streams;
mod support;

/// Name and body of a test.
type Test = (&'static str, fn());

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let tests: Vec<Test> = [
        archive::TESTS,
        basics::TESTS,
        streams::TESTS,
        identity::TESTS,
        mounts::TESTS,
        namespaces::TESTS,
        shared::TESTS,
        security::TESTS,
        hostile::TESTS,
        lifecycle::TESTS,
        limits::TESTS,
        figures::TESTS,
    ]
    .concat();
    let selected: Vec<&Test> = tests
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())))
        .collect();
    println!("\nrunning {} tests", selected.len());
    let mut failed = Vec::new();
    for (name, body) in &selected {
        let passed = std::panic::catch_unwind(body).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(*name);
        }
    }
    // Only when it is empty: nothing of the tests is left then.
    let _ = std::fs::remove_dir(support::cgroups());
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out",
        selected.len() - failed.len(),
        failed.len(),
        tests.len() - selected.len()
    );
    if !failed.is_empty() {
        println!("failures: {}", failed.join(", "));
        std::process::exit(101);
    }
}
