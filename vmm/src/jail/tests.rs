//! A child process goes to jail and looks around.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::*;

const USER: u32 = 65533;

/// Runs `look` in a jailed child process; true if it did not panic. The jail needs root: says so where it is skipped.
fn in_jail(config: &VmConfig, look: impl FnOnce(&VmConfig)) -> bool {
    // SAFETY: the child makes system calls and allocates, then ends without returning to the harness.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let jail = JailConfig { uid: USER, gid: USER, cgroup: None, max_files: 1000 };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let inside = enter(config, &jail).unwrap();
            look(&inside);
        }));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(outcome.is_err())) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status == 0
}

fn not_root() -> bool {
    let skipped = !rustix::process::geteuid().is_root();
    if skipped {
        println!("skipped: the jail needs root");
    }
    skipped
}

fn config(directory: &Path) -> VmConfig {
    for share in ["mine", "theirs"] {
        fs::create_dir(directory.join(share)).unwrap();
        fs::write(directory.join(share).join("file"), "content").unwrap();
    }
    fs::create_dir(directory.join("sockets")).unwrap();
    fs::write(directory.join("sockets/v.sock_1024"), "").unwrap();
    fs::write(directory.join("sockets/other"), "").unwrap();
    let json = serde_json::json!({
        "kernel": "/k", "initramfs": "/i", "memory_mib": 32, "vcpus": 1, "boot_deadline_ms": 0,
        "fs": [
            {"tag": "a", "path": directory.join("mine"), "cache": "private"},
            {"tag": "b", "path": directory.join("theirs"), "cache": "coherent", "read_only": true},
        ],
        "vsock": {"cid": 3, "uds_path": directory.join("sockets/v.sock")},
    });
    serde_json::from_value(json).unwrap()
}

fn names(directory: &str) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn inside_there_is_nothing_but_shares_and_sockets() {
    if not_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    assert!(in_jail(&config, |inside| {
        assert_eq!(names("/"), ["fs", "vsock"]);
        assert_eq!(names("/fs"), ["a", "b"]);
        assert_eq!(inside.fs[0].path, Path::new("/fs/a"));
        assert_eq!(inside.vsock.as_ref().unwrap().uds_path, Path::new("/vsock/v.sock"));
        assert_eq!(fs::read_to_string("/fs/a/file").unwrap(), "content");
        assert_eq!(names("/vsock"), ["other", "v.sock_1024"]);
        assert!(fs::write("/new", "").is_err() && fs::create_dir("/fs/c").is_err(), "the root is read-only");
    }));
}

#[test]
fn a_read_only_share_is_read_only_for_the_host_too() {
    if not_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    assert!(in_jail(&config, |_| {
        fs::write("/fs/a/new", "x").unwrap();
        let error = fs::write("/fs/b/new", "x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));
    }));
    assert_eq!(fs::read_to_string(directory.path().join("mine/new")).unwrap(), "x");
}

#[test]
fn the_sockets_of_the_machine_alone_change_hands() {
    if not_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    assert!(in_jail(&config, |_| ()));
    let owner = |path: &str| fs::metadata(directory.path().join(path)).unwrap().uid();
    assert_eq!((owner("sockets"), owner("sockets/v.sock_1024"), owner("sockets/other")), (USER, USER, 0));
}

#[test]
fn identity_and_privileges_are_gone() {
    if not_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.fs.clear();
    assert!(in_jail(&config, |_| {
        assert_eq!(rustix::process::geteuid().as_raw(), USER);
        assert_eq!(rustix::process::getegid().as_raw(), USER);
        assert!(rustix::process::getgroups().unwrap().is_empty());
        assert!(rustix::thread::no_new_privs().unwrap());
        assert!(rustix::thread::capabilities(None).unwrap().permitted.is_empty());
        assert!(std::net::TcpStream::connect("127.0.0.1:1").is_err());
        // SAFETY: asks only.
        assert_eq!(unsafe { libc::setuid(0) }, -1, "there is no way back");
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Nofile).current, Some(1000));
    }));
}

#[test]
fn the_host_keeps_its_mounts() {
    if not_root() {
        return;
    }
    // Other processes mount and unmount elsewhere meanwhile.
    let mounts = || {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let here = |line: &&str| matches!(line.split(' ').nth(4), Some("/" | "/proc" | "/sys" | "/dev"));
        all.lines().filter(here).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = mounts();
    assert!(before.len() > 1);
    let directory = tempfile::tempdir().unwrap();
    assert!(in_jail(&config(directory.path()), |_| ()));
    assert_eq!(mounts(), before);
}

#[test]
fn a_share_that_is_not_there_is_named() {
    if not_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.fs[0].path = "/nonexistent/share".into();
    let error = mounts::Trees::clone_from_host(&config).unwrap_err().to_string();
    assert!(error.contains("cannot share /nonexistent/share: No such file"), "{error}");
}
