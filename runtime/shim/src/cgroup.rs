//! Reclaiming a cgroup: everything in it dies, then it is removed. For whoever cleans up, owner or not.

use std::io;
use std::path::Path;
use std::time::Duration;

use oci_spec::runtime::LinuxResources;

use crate::isolation::Failure;

/// How long killed processes may take to leave, and how often that is looked at. Only a clean-up waits here.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// Makes the cgroup of a microVM's monitor.
///
/// # Errors
/// What was tried and why it failed.
pub fn make(cgroup: &Path, _limits: Option<&LinuxResources>) -> Result<(), Failure> {
    std::fs::create_dir_all(cgroup)
        .map_err(|error| Failure::engine(format!("make the cgroup {}: {error}", cgroup.display())))
}

/// Kills what is in `cgroup` and its children and removes them all; one that is not there is removed already.
///
/// # Errors
/// When processes do not die, and of removing.
pub async fn reclaim(cgroup: &Path) -> io::Result<()> {
    for attempt in 0..ATTEMPTS {
        match remove_tree(cgroup) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && attempt + 1 < ATTEMPTS => {
                std::fs::write(cgroup.join("cgroup.kill"), "1")?;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes a cgroup without processes, children first.
fn remove_tree(cgroup: &Path) -> io::Result<()> {
    match std::fs::remove_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
        result => return result,
    }
    for entry in std::fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(cgroup)
}
