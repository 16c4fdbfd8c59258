//! Limits on files and room for them, and the sockets that the jailed monitor has to reach.

use std::fs;
use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Error, during};

/// Descriptors that there is room for from the start.
const ROOM: u64 = 4096;

/// Sets RLIMIT_NOFILE as far as the hard limit allows and forbids core files, which would hold guest memory.
pub(super) fn limit(max_files: u64) -> Result<(), Error> {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let files = max_files.min(hard);
    let set = |what, value| {
        setrlimit(what, Rlimit { current: Some(value), maximum: Some(value) })
            .map_err(|e| during("cannot set resource limits")(e.into()))
    };
    set(Resource::Nofile, files)?;
    set(Resource::Core, 0)?;
    make_room(ROOM.min(files))
}

/// Grows the table of open files while there is one thread: with more, Linux waits for a grace period of RCU each
/// time that the table grows (fs/file.c, `expand_fdtable`), and the guest's first requests would wait with it.
fn make_room(files: u64) -> Result<(), Error> {
    let highest = files.saturating_sub(1) as i32;
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), highest)
        .map(drop)
        .map_err(|e| during("cannot make room for open files")(e.into()))
}

/// Makes the vsock directory and the sockets that wait in it the jailed user's: connecting takes write permission.
pub(super) fn give_sockets(base: &Path, uid: u32, gid: u32) -> Result<(), Error> {
    let directory = base.parent().unwrap_or(Path::new("/"));
    let what = || format!("cannot hand over {}", directory.display());
    let give = |path: &Path| lchown(path, Some(uid), Some(gid)).map_err(during(what()));
    give(directory)?;
    let prefix = base.file_name().unwrap_or_default();
    for entry in fs::read_dir(directory).map_err(during(what()))? {
        let entry = entry.map_err(during(what()))?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            match give(&entry.path()) {
                Err(error) if error.source.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
