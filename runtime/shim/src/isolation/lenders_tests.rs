use super::*;

fn join(dir: &Path, kind: Joined) -> Join {
    Join { kind, id: "d".repeat(64), container_dir: dir.to_owned(), run_dir: dir.to_owned() }
}

fn says(dir: &Path, phase: Phase, pid: u32, supervisor: u32) {
    let pid = i32::try_from(pid).unwrap();
    status::write(dir, &Status { phase, pid, supervisor, ..Status::default() }).unwrap();
}

fn lock(dir: &Path) -> OwnedFd {
    let file = std::fs::File::create(dir.join(LOCK_FILE)).unwrap();
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file.into()
}

fn refused(join: &Join) -> String {
    Lender::find(join).and_then(|lender| lender.check()).map_err(|failure| failure.message).unwrap_err()
}

#[test]
fn only_a_child_of_the_supervisor_that_holds_the_lock_is_the_init() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let pid = join(dir, Joined::Pid);
    let not = format!("cannot join PID of a non running container: {}", pid.id);
    assert_eq!(refused(&pid), not, "no status");
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    says(dir, Phase::Running, child.id(), std::process::id());
    assert_eq!(refused(&pid), not, "no lock");
    let held = lock(dir);
    let lender = Lender::find(&pid).unwrap();
    lender.check().unwrap();
    let namespace = rustix::fs::fstat(lender.open("ns/pid").unwrap()).unwrap();
    let own = std::fs::metadata("/proc/self/ns/pid").unwrap();
    assert_eq!(namespace.st_ino, std::os::unix::fs::MetadataExt::ino(&own));

    says(dir, Phase::Running, std::process::id(), std::process::id());
    assert_eq!(refused(&pid), not, "somebody else's child");
    says(dir, Phase::Exited, child.id(), std::process::id());
    assert_eq!(refused(&pid), not);
    says(dir, Phase::Restarting, 0, std::process::id());
    assert!(refused(&pid).ends_with("is restarting, wait until the container is running"));
    says(dir, Phase::Running, 0, std::process::id());
    let ipc = join(dir, Joined::Ipc);
    assert_eq!(
        refused(&ipc),
        format!("can't join IPC of container {0}: container {0} is not running", ipc.id)
    );

    says(dir, Phase::Running, child.id(), std::process::id());
    drop(held);
    assert_eq!(refused(&pid), not, "the lock is free");
    let _held = lock(dir);
    child.kill().unwrap();
    let _ = rustix::process::waitid(
        rustix::process::WaitId::PidFd(lender.pidfd.as_fd()),
        rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
    );
    assert!(lender.check().is_err(), "it has ended, though its number is still its own");
    child.wait().unwrap();
}
