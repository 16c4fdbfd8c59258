//! What containers could leave on a host, taken before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Sandbox;

/// The events' journal stays, and begins a new file when it is long.
const JOURNAL: &str = "events.json";

/// Our processes, cgroups and namespaces on the whole host, and the mounts, sockets and directories of one [`Sandbox`].
///
/// Compare two of these only while no other test runs (`xtask` gives such tests a pass of their own).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    processes: BTreeSet<String>,
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    network_namespaces: usize,
    sockets: BTreeSet<String>,
    containers: BTreeSet<String>,
    run: BTreeSet<String>,
}

impl HostState {
    /// Looks now.
    pub fn of(sandbox: &Sandbox) -> Self {
        let root = sandbox.root.to_string_lossy().into_owned();
        let run = sandbox.run_root.to_string_lossy().into_owned();
        let ours = |text: &str| text.contains(&root) || text.contains(&run);
        let lines = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            processes: processes(&ours),
            mounts: lines("/proc/self/mountinfo").lines().filter(|l| ours(l)).map(String::from).collect(),
            cgroups: cgroups(),
            network_namespaces: network_namespaces(),
            sockets: lines("/proc/net/unix").lines().filter(|l| ours(l)).map(String::from).collect(),
            containers: names(&sandbox.root.join("containers")),
            run: names(&sandbox.run_root).into_iter().filter(|name| !name.starts_with(JOURNAL)).collect(),
        }
    }
}

/// Every process of ours whose command line names one of the roots, and is not a command of this test run.
fn processes(ours: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for pid in names(Path::new("/proc")).into_iter().filter(|n| n.bytes().all(|b| b.is_ascii_digit())) {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let helper = comm.starts_with("sandbox-shim")
            || comm.starts_with("sandbox-vmm")
            || comm.starts_with("sandbox-init");
        // A dead one has no command line; it waits for its parent or, as an orphan, for the machine's init.
        if !line.is_empty() && (helper || (comm.trim() == "sandbox" && ours(&line))) {
            found.insert(format!("{pid} {} {line}", comm.trim()));
        }
    }
    found
}

/// Container cgroups below `sandbox/` of the v2 tree.
fn cgroups() -> BTreeSet<String> {
    cgroup_tree().map_or_else(BTreeSet::new, |tree| {
        let dirs = fs::read_dir(tree.join("sandbox")).into_iter().flatten().flatten();
        dirs.filter(|e| e.path().is_dir()).map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    })
}

/// Where cgroup v2 is mounted.
fn cgroup_tree() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// Whether cgroup v2 of this host has a controller, so that containers of its own can be limited.
pub fn has_controller(name: &str) -> bool {
    let file = cgroup_tree().map(|tree| tree.join("cgroup.controllers"));
    let list = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    list.split_whitespace().any(|found| found == name)
}

/// How many network namespaces some process lives in.
fn network_namespaces() -> usize {
    let pids = names(Path::new("/proc")).into_iter().filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let links = pids.filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).ok());
    links.collect::<BTreeSet<_>>().len()
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}
