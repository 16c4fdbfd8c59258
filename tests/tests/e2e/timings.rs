//! `--timings` and `bench startup` write what they promise; the figures themselves are not tested.

use std::fs;

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::Sandbox;

#[rstest]
fn four_clocks_in_order(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.json");
    Sandbox::shared()
        .run(isolation, ["--timings", file.to_str().unwrap(), "alpine", "echo", "hi"])
        .expect_code(0);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(json["isolation"], isolation.name());
    let phases = json["phases"].as_array().unwrap();
    let stamps: Vec<u64> = phases.iter().map(|p| p["at_ns"].as_u64().unwrap()).collect();
    assert!(stamps.is_sorted(), "{json}");
    let names: Vec<&str> = phases.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let clocks = match isolation {
        Process => ["init_cloned", "pivoted", "first_output", "torn_down"],
        Vm => ["first_kvm_run", "agent_ready", "first_output", "torn_down"],
    };
    for clock in clocks {
        assert!(names.contains(&clock), "{clock} is not in {names:?}");
    }
}

#[test]
fn bench_prints_percentiles_and_draws() {
    let dir = tempfile::tempdir().unwrap();
    let (json, svg) = (dir.path().join("b.json"), dir.path().join("b.svg"));
    let out = Sandbox::shared()
        .sandbox([
            "bench",
            "startup",
            "-n",
            "4",
            "--concurrency",
            "2",
            "--isolation",
            "process,vm",
            "--json",
            json.to_str().unwrap(),
            "--svg",
            svg.to_str().unwrap(),
            "alpine",
            "true",
        ])
        .expect_code(0);
    for word in ["process", "vm", "p50", "p99"] {
        assert!(out.stdout.contains(word), "{word} is not in: {}", out.stdout);
    }
    serde_json::from_slice::<serde_json::Value>(&fs::read(&json).unwrap()).unwrap();
    assert!(fs::read_to_string(&svg).unwrap().starts_with("<svg"));
}
