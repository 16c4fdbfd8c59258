//! What scripts read of a container.

use std::path::Path;

use sandbox_shim::plan::Restart;
use sandbox_shim::status::{Phase, Status};
use sandbox_shim::wire::Exit;
use serde_json::{Value, json};

use super::*;
use crate::isolation::Isolation;
use crate::parse::{tmpfs, ulimit, volume};
use crate::request::{Limits, Privileges, Process, Request};
use crate::spec::Resolved;
use crate::state::containers::{self, tests::sample};

fn recipe() -> Recipe {
    let mount = |text: &str, host_path: &str| Resolved {
        mount: volume::parse(text, Path::new("/")).unwrap(),
        host_path: Some(host_path.into()),
    };
    Recipe {
        request: Request {
            process: Process {
                command: vec!["sleep".to_owned(), "9".to_owned()],
                env: vec!["A=1".to_owned()],
                ulimits: vec![
                    ulimit::parse("nofile=1024:-1").unwrap_or(ulimit::parse("nofile=1024").unwrap()),
                ],
                stop_signal: Some(2),
                ..Process::default()
            },
            limits: Limits { memory: Some(64 << 20), pids: Some(-1), ..Limits::default() },
            privileges: Privileges { cap_add: vec!["net_admin".to_owned()], ..Privileges::default() },
            restart: Restart::OnFailure { max: 3 },
            health: Some(crate::health::Wish {
                test: vec!["CMD".to_owned(), "x".to_owned()],
                ..Default::default()
            }),
            isolation: Isolation::Vm,
            ..Request::default()
        },
        mounts: vec![
            mount("/srv:/srv:ro", "/srv"),
            mount("data:/data", "/r/volumes/data/_data"),
            mount("/cache", "/r/volumes/0123/_data"),
            Resolved { mount: tmpfs::parse("/tmp:size=64m").unwrap(), host_path: None },
        ],
        arguments: ["/entry", "sleep", "9"].map(str::to_owned).to_vec(),
        environment: ["PATH=/bin", "HOSTNAME=abc", "A=1"].map(str::to_owned).to_vec(),
        working_dir: "/".to_owned(),
        hostname: "abc".to_owned(),
        stop_signal: 2,
        labels: [("tier".to_owned(), "web".to_owned())].into(),
        ..Recipe::default()
    }
}

fn image() -> Defaults {
    Defaults {
        entrypoint: vec!["/entry".to_owned()],
        command: vec!["serve".to_owned()],
        env: vec!["PATH=/bin".to_owned()],
        volumes: vec!["/cache".to_owned()],
        layers: vec!["/r/layers/2".into(), "/r/layers/1".into()],
        ..Defaults::default()
    }
}

fn inspected(status: Option<Status>) -> Value {
    let state = if status.is_some() { containers::State::Running } else { containers::State::Created };
    let container = Container { state, started_ns: None, ..sample(&"a".repeat(64), "web") };
    let view = View { container, status };
    serde_json::to_value(build(&view, &recipe(), &image(), Path::new("/r/containers/a"))).unwrap()
}

#[test]
fn everything_that_is_made_from_flags() {
    let value = inspected(None);
    assert_eq!(value["Id"], "a".repeat(64));
    assert_eq!((&value["Path"], &value["Args"]), (&json!("/entry"), &json!(["sleep", "9"])));
    assert_eq!(value["Name"], "/web");
    assert_eq!(value["HostnamePath"], "/r/containers/a/hostname");
    let host = &value["HostConfig"];
    for (member, expected) in [
        ("Binds", json!(["/srv:/srv:ro", "data:/data"])),
        ("NetworkMode", json!("bridge")),
        ("RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 3})),
        ("CapAdd", json!(["CAP_NET_ADMIN"])),
        ("CapDrop", Value::Null),
        ("Isolation", json!("vm")),
        ("Memory", json!(64 << 20)),
        ("MemorySwap", json!(128 << 20)),
        ("PidsLimit", Value::Null),
        ("ShmSize", json!(64 << 20)),
        ("Tmpfs", json!({"/tmp": "size=64m"})),
    ] {
        assert_eq!(host[member], expected, "{member}");
    }
    assert_eq!(host["Ulimits"][0]["Name"], "nofile");
    assert!(host["MaskedPaths"].as_array().unwrap().contains(&json!("/proc/kcore")));
    assert_eq!(
        value["Mounts"],
        json!([
            {"Type": "bind", "Source": "/srv", "Destination": "/srv", "Mode": "ro", "RW": false,
             "Propagation": "rprivate"},
            {"Type": "volume", "Name": "data", "Source": "/r/volumes/data/_data", "Destination": "/data",
             "Driver": "local", "Mode": "z", "RW": true, "Propagation": ""},
            {"Type": "volume", "Name": "0123", "Source": "/r/volumes/0123/_data", "Destination": "/cache",
             "Driver": "local", "Mode": "z", "RW": true, "Propagation": ""},
        ])
    );
    assert_eq!(
        value["Config"],
        json!({
            "Hostname": "abc", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
            "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": ["PATH=/bin", "A=1"],
            "Cmd": ["sleep", "9"], "Image": "alpine", "Volumes": {"/cache": {}}, "WorkingDir": "/",
            "Entrypoint": ["/entry"], "Labels": {"tier": "web"}, "StopSignal": "SIGINT",
            "Healthcheck": {"Test": ["CMD", "x"], "Interval": 0, "Timeout": 0, "StartPeriod": 0, "StartInterval": 0, "Retries": 0},
        })
    );
    assert_eq!(value["GraphDriver"]["Data"]["LowerDir"], "/r/layers/2:/r/layers/1");
    assert_eq!(value["NetworkSettings"]["Networks"]["bridge"]["IPAddress"], "");
    assert_eq!(value["NetworkSettings"]["Ports"], json!({}));
}

#[test]
fn states() {
    let state = |status| {
        let value = inspected(status);
        let of = |member: &str| value["State"][member].clone();
        (of("Status"), of("Running"), of("Pid"), of("ExitCode"), of("StartedAt"))
    };
    let never = json!("0001-01-01T00:00:00Z");
    assert_eq!(state(None), (json!("created"), json!(false), json!(0), json!(0), never));
    let exit = Some(Exit { code: 7, oom_killed: true, error: None });
    let word = Status { phase: Phase::Running, pid: 42, started_ns: Some(1), exit, ..Status::default() };
    let started = json!("1970-01-01T00:00:00.000000001Z");
    assert_eq!(
        state(Some(word.clone())),
        (json!("running"), json!(true), json!(42), json!(0), started.clone())
    );
    let health = sandbox_shim::status::Health {
        verdict: sandbox_shim::status::Verdict::Unhealthy,
        failing_streak: 3,
        log: vec![sandbox_shim::status::Probe {
            exit_code: 1,
            output: "no".to_owned(),
            ..Default::default()
        }],
    };
    assert_eq!(
        inspected(Some(Status { health: Some(health), ..word.clone() }))["State"]["Health"],
        json!({"Status": "unhealthy", "FailingStreak": 3, "Log": [{"Start": "1970-01-01T00:00:00Z",
               "End": "1970-01-01T00:00:00Z", "ExitCode": 1, "Output": "no"}]})
    );
    let word = Status { phase: Phase::Restarting, pid: 0, restarts: 2, ..word };
    assert_eq!(state(Some(word.clone())), (json!("restarting"), json!(true), json!(0), json!(7), started));
    let value = inspected(Some(word));
    assert_eq!((&value["RestartCount"], &value["State"]["OOMKilled"]), (&json!(2), &json!(true)));
}

#[test]
fn what_is_lost_is_left_empty() {
    let dir = tempfile::tempdir().unwrap();
    let engine = crate::listing::tests::engine(dir.path());
    let container = crate::listing::tests::add(&engine, "one", 1, &Recipe::default());
    std::fs::remove_file(engine.paths.container(&container.id).join("config.json")).unwrap();
    std::fs::create_dir(engine.paths.container(&container.id).join("upper")).unwrap();
    std::fs::write(engine.paths.container(&container.id).join("upper/file"), "four").unwrap();
    let found = engine.inspect_container(container, true).unwrap();
    assert_eq!((found.path.as_str(), found.size_rw, found.size_root_fs), ("", Some(4), Some(4)));
}
