use oci_spec::runtime::{Mount, Spec};
use sandbox_container::archive::{ArchiveError, Unpack};
use sandbox_shim::plan::IsolationPlan;

use super::*;
use crate::archive::{Files, Hold, export};
use crate::lock::{self, Owner};

/// A container of one layer, with a volume at /data and a host file at /etc/hosts.
fn plan(base: &std::path::Path, read_only: bool) -> Plan {
    for directory in ["layer/etc", "volume", "container/upper", "container/work"] {
        std::fs::create_dir_all(base.join(directory)).unwrap();
    }
    std::fs::write(base.join("layer/etc/os"), "image").unwrap();
    std::fs::write(base.join("volume/v"), "volume").unwrap();
    std::fs::write(base.join("container/hosts"), "127.0.0.1 box").unwrap();
    let bind = |source: std::path::PathBuf, destination: &str| {
        let mut mount = Mount::default();
        mount.set_typ(Some("bind".to_owned()));
        mount.set_source(Some(source));
        mount.set_destination(destination.into());
        mount.set_options(Some(vec!["rbind".to_owned(), "rprivate".to_owned()]));
        mount
    };
    let mut spec = Spec::default();
    let mut proc = Mount::default();
    proc.set_typ(Some("proc".to_owned()));
    proc.set_destination("/proc".into());
    spec.set_mounts(Some(vec![
        proc,
        bind(base.join("container/hosts"), "/etc/hosts"),
        bind(base.join("volume"), "/data"),
    ]));
    let mut root = oci_spec::runtime::Root::default();
    root.set_readonly(Some(read_only));
    spec.set_root(Some(root));
    Plan {
        id: "c".repeat(64),
        isolation: IsolationPlan::Process,
        spec,
        user: String::new(),
        extra_groups: Vec::new(),
        rootfs: Rootfs {
            lower: vec![base.join("layer")],
            upper: base.join("container/upper"),
            work: base.join("container/work"),
            volatile: true,
        },
        container_dir: base.join("container"),
        run_dir: base.join("run"),
        cgroup: None,
        tty: false,
        rows: 0,
        cols: 0,
        open_stdin: false,
        init: false,
        remove: false,
        tied: false,
        stop_signal: libc::SIGTERM,
        stop_timeout_s: 0,
        primary_stdin: false,
        stdin_once: false,
        restart: sandbox_shim::plan::Restart::No,
        log: sandbox_shim::log::LogPlan::default(),
        events: None,
        health: None,
        timeout_s: None,
        reaper: Vec::new(),
        joins: Vec::new(),
    }
}

fn hold(plan: &Plan) -> Hold {
    match lock::probe(&plan.container_dir).unwrap() {
        Owner::Gone(lock) => Hold::Stopped(lock),
        Owner::NoLock => Hold::Stopped(lock::create(&plan.container_dir).unwrap()),
        Owner::Alive => panic!("the lock is held"),
    }
}

fn packed(files: &Files, path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    files.pack(path, false, &mut out).unwrap();
    out
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Mounts need root.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn files_and_volumes_of_a_stopped_container() {
    if !is_root() {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let plan = plan(base.path(), false);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let files = Files::open(&plan, hold(&plan)).unwrap();
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts, "nothing is mounted here");
    assert!(matches!(lock::probe(&plan.container_dir).unwrap(), Owner::Alive), "nobody starts it meanwhile");
    assert!(has(&packed(&files, "/etc/os"), "image") && has(&packed(&files, "/etc/hosts"), "127.0.0.1 box"));
    assert!(has(&packed(&files, "/data"), "volume"));
    assert_eq!(files.stat("/data/v").unwrap().size, 6);
    assert!(matches!(files.stat("/nope"), Err(ArchiveError::Missing { .. })));
    let archive = packed(&files, "/etc/os");
    for place in ["/", "/data"] {
        files.unpack(place, &mut archive.as_slice(), &Unpack::default()).unwrap();
    }
    drop(files);
    assert_eq!(std::fs::read_to_string(base.path().join("volume/os")).unwrap(), "image");
    assert_eq!(std::fs::read_to_string(plan.rootfs.upper.join("os")).unwrap(), "image");
    assert!(matches!(lock::probe(&plan.container_dir).unwrap(), Owner::Gone(_)));
    let mut tar = Vec::new();
    export(&plan, hold(&plan), &mut tar).unwrap();
    assert!(
        has(&tar, "etc/os\0") && has(&tar, "data/\0") && !has(&tar, "volume"),
        "volumes are not exported"
    );
    let changes = crate::diff::diff(&plan.rootfs, &hold(&plan)).unwrap();
    let lines: Vec<_> =
        changes.iter().map(|c| format!("{} {}", c.kind, String::from_utf8_lossy(&c.path))).collect();
    assert_eq!(lines, ["A /data", "A /os"]);
}

#[test]
fn a_read_only_root_is_not_written() {
    if !is_root() {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let plan = plan(base.path(), true);
    let files = Files::open(&plan, hold(&plan)).unwrap();
    let archive = packed(&files, "/etc/os");
    let unpack = |path: &str| files.unpack(path, &mut archive.as_slice(), &Unpack::default());
    assert_eq!(unpack("/").unwrap_err(), ArchiveError::ReadOnlyRoot);
    unpack("/data").unwrap();
}
