//! The plan of a container whose root file system is made of busybox.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use sandbox_shim::plan::{IsolationPlan, Plan, Rootfs, VmPlan};

/// A directory with `sandbox-vmm`, `vmlinux` and `initramfs.cpio`: the same tests, but in microVMs.
const VM: &str = "SANDBOX_SHIM_TEST_VM";

fn isolation() -> IsolationPlan {
    let Some(directory) = std::env::var_os(VM).map(PathBuf::from) else { return IsolationPlan::Process };
    IsolationPlan::Vm(VmPlan {
        vmm: directory.join("sandbox-vmm"),
        kernel: directory.join("vmlinux"),
        initramfs: directory.join("initramfs.cpio"),
        cmdline: String::new(),
        memory_mib: 256,
        vcpus: 1,
        boot_deadline_ms: 60_000,
        serial: false,
        uid: 64_000,
        gid: 64_000,
        resources: None,
    })
}

/// The cgroup v2 tree of this host.
fn cgroup_root() -> Option<PathBuf> {
    sandbox_container::cgroup_mount_point().ok()
}

fn busybox() -> PathBuf {
    let path = PathBuf::from("/bin/busybox");
    assert!(path.exists(), "install busybox-static: the container's commands are made of it");
    path
}

fn root_file_system(at: &Path) {
    for directory in ["bin", "etc", "proc", "sys", "dev", "tmp", "root", "home/web"] {
        fs::create_dir_all(at.join(directory)).unwrap();
    }
    fs::copy(busybox(), at.join("bin/busybox")).unwrap();
    for name in [
        "sh",
        "cat",
        "true",
        "false",
        "sleep",
        "id",
        "head",
        "sha256sum",
        "stty",
        "echo",
        "yes",
        "pwd",
        "env",
        "wc",
        "dd",
        "stat",
        "hostname",
    ] {
        std::os::unix::fs::symlink("busybox", at.join("bin").join(name)).unwrap();
    }
    fs::write(at.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/home/web:/bin/sh\n")
        .unwrap();
    fs::write(at.join("etc/group"), "root:x:0:\nweb:x:34:\naudio:x:29:web\n").unwrap();
}

/// The plan of a container that runs `arguments`.
pub(crate) fn plan(directory: &Path, arguments: &[&str]) -> Plan {
    let path = |name: &str| directory.join(name);
    let lower = path("layer");
    root_file_system(&lower);
    for name in ["upper", "work", "container", "run"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    let mut spec = Spec::default();
    let process = spec.process_mut().as_mut().unwrap();
    process.set_args(Some(arguments.iter().map(|&argument| argument.to_owned()).collect()));
    process.set_env(Some(vec!["PATH=/bin".to_owned()]));
    process.set_rlimits(None);
    spec.root_mut().as_mut().unwrap().set_readonly(Some(false));
    let id = format!("{:0>64}", format!("{:x}", std::process::id()) + &format!("{:x}", unique()));
    Plan {
        joins: Vec::new(),
        cgroup: cgroup_root().map(|root| root.join("sandbox-shim-test").join(&id)),
        id,
        isolation: isolation(),
        spec,
        user: String::new(),
        extra_groups: Vec::new(),
        rootfs: Rootfs { lower: vec![lower], upper: path("upper"), work: path("work"), volatile: true },
        container_dir: path("container"),
        run_dir: path("run"),
        tty: false,
        rows: 0,
        cols: 0,
        open_stdin: true,
        init: false,
        remove: true,
        tied: true,
        stop_signal: libc::SIGTERM,
        stop_timeout_s: 1,
        primary_stdin: true,
        stdin_once: true,
        restart: sandbox_shim::plan::Restart::No,
        log: sandbox_shim::log::LogPlan {
            driver: "none".to_owned(),
            ..sandbox_shim::log::LogPlan::default()
        },
        events: None,
        health: None,
        timeout_s: None,
        reaper: Vec::new(),
    }
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
