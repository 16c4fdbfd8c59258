//! Files into and out of a running container, through the trait that the supervisor uses; which isolation is as for
//! `containers.rs`. One test, because the container core clones and must be alone in its process. Needs root.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/plan.rs"]
mod plan;

use std::rc::Rc;

use sandbox_container::archive::{Archive, ArchiveError, PathStat, Unpack};
use sandbox_shim::isolation::process::ProcessIsolation;
use sandbox_shim::isolation::vm::VmIsolation;
use sandbox_shim::isolation::{Isolation, Running, Start};
use sandbox_shim::plan::{IsolationPlan, Plan};
use sandbox_shim::rootfs;
use sandbox_shim::stamps::Stamps;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What it wrote, or why it failed.
async fn ask(
    container: &impl Running,
    name: &str,
    request: Archive,
    input: &[u8],
) -> Result<Vec<u8>, ArchiveError> {
    let process = container.archive(name.to_owned(), request).await.unwrap();
    let mut streams = process.streams;
    if let Some(mut stdin) = streams.input.take() {
        // One that has failed does not read on.
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    }
    let (mut output, mut report) = (Vec::new(), Vec::new());
    streams.output.read_to_end(&mut output).await.unwrap();
    streams.error.unwrap().read_to_end(&mut report).await.unwrap();
    match process.exited.await.unwrap().code {
        0 => Ok(output),
        _ => Err(ArchiveError::of_report(&report)),
    }
}

async fn files_come_and_go<I: Isolation>(isolation: I, start: Start<'_>, plan: &Plan) {
    let (container, mut init) = isolation.start(start).await.unwrap();
    let mut up = [0; 3];
    init.streams.output.read_exact(&mut up).await.unwrap();

    let stat = Archive::Stat { path: "/tmp/f".into() };
    let found: PathStat =
        serde_json::from_slice(&ask(&container, "stat", stat.clone(), b"").await.unwrap()).unwrap();
    assert_eq!((found.name.as_str(), found.size), ("f", 5));
    let missing = Archive::Pack { path: "/nope".into(), follow: false };
    let missing = ask(&container, "missing", missing, b"").await.unwrap_err();
    assert_eq!(missing, ArchiveError::Missing { path: "/nope".into() });

    // More than any buffer on the way holds, there and back.
    let pack = |path: &str| Archive::Pack { path: path.into(), follow: false };
    let unpack = |path: &str| Archive::Unpack { path: path.into(), options: Unpack::default() };
    let packed = ask(&container, "pack", pack("/tmp"), b"").await.unwrap();
    assert!(packed.len() > 8 << 20 && packed.len() % 512 == 0);
    ask(&container, "unpack", unpack("/home"), &packed).await.unwrap();
    assert_eq!(ask(&container, "again", pack("/home/tmp"), b"").await.unwrap(), packed);
    let point = ask(&container, "point", unpack("/tmp/f"), &packed).await.unwrap_err();
    assert_eq!(point.to_string(), "extraction point is not a directory");

    // The host has it once it is synced.
    container.sync().await.unwrap();
    assert_eq!(std::fs::read(plan.rootfs.upper.join("home/tmp/f")).unwrap(), b"data\n");

    // One that waits can be ended, and its name is taken until then.
    let process = container.archive("waits".to_owned(), unpack("/tmp")).await.unwrap();
    let taken = container.archive("waits".to_owned(), stat).await.unwrap_err();
    assert!(taken.message.contains("taken"), "{taken}");
    container.signal("waits", libc::SIGKILL).await.unwrap();
    assert_eq!(process.exited.await.unwrap().code, 137);

    let mut stdin = init.streams.input.take().unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    assert_eq!(init.exited.await.unwrap().code, 9);
    container.stop(true).await.unwrap();
}

#[test]
fn files_of_a_running_container() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let script = "echo data > /tmp/f; yes | head -c 9000000 > /tmp/big; echo up; cat; exit 9";
    let plan = plan::plan(directory.path(), &["sh", "-c", script]);
    rootfs::enter_namespace().unwrap();
    let overlay = rootfs::mount(&plan.rootfs, &plan.run_dir).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let stamps = Rc::new(Stamps::default());
        let start = Start { plan: &plan, rootfs: overlay, stamps: &stamps };
        match &plan.isolation {
            IsolationPlan::Process => files_come_and_go(ProcessIsolation, start, &plan).await,
            IsolationPlan::Vm(vm) => {
                let isolation = VmIsolation { plan: vm, stamps: Rc::clone(&stamps) };
                files_come_and_go(isolation, start, &plan).await;
            }
        }
    });
    assert!(plan.cgroup.is_none_or(|cgroup| !cgroup.exists()));
}
