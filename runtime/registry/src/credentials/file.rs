//! `config.json`: read whole, changed under a lock, replaced at once.
//!
//! Members that mean nothing to us are kept. The file may be a link, which stays one. Who dies while writing leaves a
//! temporary file behind that the next writer reuses; `config.json` is always one or the other.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{CredentialsError, Result};

const NAME: &str = "config.json";
const TEMPORARY: &str = ".config.json.sandbox";
const SIZE: u64 = 4 << 20;

#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    pub(super) members: Map<String, Value>,
    exists: bool,
    /// The directory, locked against other writers.
    lock: Option<OwnedFd>,
}

impl ConfigFile {
    /// As it is; empty if it is not there.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let mut config = Self { path: directory.join(NAME), members: Map::new(), exists: false, lock: None };
        config.load()?;
        Ok(config)
    }

    /// To be changed: nobody else changes it until this value goes.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("create", directory))?;
        let named = directory.join(NAME);
        let path = std::fs::canonicalize(&named).unwrap_or(named);
        let parent = path.parent().unwrap_or(directory).to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&parent, flags, Mode::empty()).map_err(failed("open", &parent))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockExclusive))
            .map_err(failed("lock", &parent))?;
        let mut config = Self { path, members: Map::new(), exists: false, lock: Some(lock) };
        config.load()?;
        Ok(config)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> bool {
        self.exists
    }

    /// What is wrong with the file's content; never the content itself, which is secret.
    pub(super) fn invalid(&self, reason: &str) -> CredentialsError {
        CredentialsError::Invalid { path: self.path.clone(), reason: reason.to_owned() }
    }

    fn load(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file
                .and_then(|file| file.take(SIZE + 1).read_to_end(&mut bytes))
                .map_err(failed("read", &self.path))?,
        };
        self.exists = true;
        if bytes.len() as u64 > SIZE {
            return Err(self.invalid("it is larger than 4 MiB"));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.members = serde_json::from_slice(&bytes).map_err(|error| {
            self.invalid(&format!("no JSON object (line {}, column {})", error.line(), error.column()))
        })?;
        Ok(())
    }

    pub(super) fn write(&self) -> Result<()> {
        let mut bytes = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, format);
        self.members.serialize(&mut serializer).map_err(|error| self.invalid(&error.to_string()))?;

        let temporary = self.path.with_file_name(TEMPORARY);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::open(&temporary, flags, mode).map_err(failed("create", &temporary))?;
        rustix::fs::fchmod(&file, mode).map_err(failed("protect", &temporary))?;
        if let Ok(old) = std::fs::metadata(&self.path) {
            // The file of whoever calls us through sudo stays his, if we may give it to him.
            let (user, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
            let _ = rustix::fs::fchown(&file, Some(user), Some(group));
        }
        let mut file = File::from(file);
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("write", &temporary))?;
        std::fs::rename(&temporary, &self.path).map_err(failed("replace", &self.path))?;
        if let Some(directory) = &self.lock {
            rustix::fs::fsync(directory).map_err(failed("sync the directory of", &self.path))?;
        }
        Ok(())
    }
}

fn failed<E: Into<std::io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> CredentialsError {
    let path = path.to_owned();
    move |error| CredentialsError::File { action, path, source: error.into() }
}
