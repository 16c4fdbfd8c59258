//! The files of a container, wherever they are now: those that run are asked through their supervisor, of those that do
//! not run the root is put together here.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use sandbox_container::archive;
pub use sandbox_container::archive::{
    Archive, ArchiveError, Owner, PathStat, Rename, Unpack, base_name, pack, stat, unpack,
};
use sandbox_shim::plan::Plan;

use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::stopped::StoppedRoot;

/// The longest answer about one file, bytes.
const MAX_STAT: usize = 64 << 10;

/// What the supervisor of a running container does for these commands.
pub trait Supervisor {
    /// Does it in the container, with `input` to read from and `output` to write to, and waits for its end. What
    /// cannot be written to `output` ends it with [`ArchiveError::Closed`].
    fn archive(
        &self,
        request: &Archive,
        input: Option<&mut dyn Read>,
        output: &mut dyn Write,
    ) -> Result<(), ArchiveError>;

    /// The root of its overlay on this host, without what is mounted in the container.
    fn root(&self) -> Result<OwnedFd>;

    /// What the container's processes wrote so far reaches the files of this host.
    fn sync(&self) -> Result<()>;

    /// Freezes the container; whether it was running until now.
    fn pause(&self) -> Result<bool>;

    fn unpause(&self) -> Result<()>;
}

/// What keeps a container as it is while its files are used.
pub enum Hold {
    /// It does not run, and nobody starts it as long as we have its lock.
    Stopped(Lock),
    Running(Box<dyn Supervisor>),
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Hold::Stopped(_) => "Stopped",
            Hold::Running(_) => "Running",
        })
    }
}

impl Hold {
    /// See [`Supervisor::sync`]; of a container that does not run everything is there.
    pub(crate) fn sync(&self) -> Result<()> {
        match self {
            Hold::Stopped(_) => Ok(()),
            Hold::Running(supervisor) => supervisor.sync(),
        }
    }
}

/// The container's files as its processes see them, volumes and all.
pub struct Files {
    id: String,
    user: String,
    place: Place,
}

enum Place {
    Stopped(StoppedRoot),
    Running(Box<dyn Supervisor>),
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Files {
    /// Of a container that was started, or would be, by `plan`.
    pub fn open(plan: &Plan, hold: Hold) -> Result<Files> {
        let place = match hold {
            Hold::Stopped(lock) => Place::Stopped(StoppedRoot::with_volumes(plan, lock)?),
            Hold::Running(supervisor) => Place::Running(supervisor),
        };
        Ok(Files { id: plan.id.clone(), user: plan.user.clone(), place })
    }

    /// Whose processes run in the container, Docker's `USER[:GROUP]`; empty for root.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What is at a path; a link in its last component is not followed.
    pub fn stat(&self, path: &str) -> Result<PathStat, ArchiveError> {
        let supervisor = match &self.place {
            Place::Stopped(root) => return archive::stat(root.fd(), path),
            Place::Running(supervisor) => supervisor,
        };
        let mut answer = Bounded(Vec::new());
        supervisor.archive(&Archive::Stat { path: path.to_owned() }, None, &mut answer)?;
        serde_json::from_slice(&answer.0)
            .map_err(|error| ArchiveError::Failed(format!("the answer about {path}: {error}")))
    }

    /// Writes the tar of what is at a path ([`archive::pack`]).
    pub fn pack(&self, path: &str, follow: bool, out: &mut dyn Write) -> Result<(), ArchiveError> {
        match &self.place {
            Place::Stopped(root) => archive::pack(root.fd(), path, follow, out).map(drop),
            Place::Running(supervisor) => {
                supervisor.archive(&Archive::Pack { path: path.to_owned(), follow }, None, out)
            }
        }
    }

    /// Unpacks a tar into a directory ([`archive::unpack`]).
    pub fn unpack(&self, path: &str, input: &mut dyn Read, options: &Unpack) -> Result<(), ArchiveError> {
        match &self.place {
            Place::Stopped(root) => archive::unpack(root.fd(), path, input, options).map(drop),
            Place::Running(supervisor) => {
                let request = Archive::Unpack { path: path.to_owned(), options: options.clone() };
                supervisor.archive(&request, Some(input), &mut std::io::sink())
            }
        }
    }
}

/// An answer in memory, which may come from a guest.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_STAT {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes the container's root file system as a tar, without volumes.
pub fn export(plan: &Plan, hold: Hold, out: &mut dyn Write) -> Result<()> {
    let failed = |error: ArchiveError| Error::invalid(format!("export {}: {error}", plan.id));
    match hold {
        Hold::Stopped(lock) => {
            let root = StoppedRoot::bare(plan, lock)?;
            archive::pack_tree(root.fd(), out).map(drop).map_err(failed)
        }
        Hold::Running(supervisor) => {
            supervisor.sync()?;
            archive::pack_tree(supervisor.root()?.as_fd(), out).map(drop).map_err(failed)
        }
    }
}
