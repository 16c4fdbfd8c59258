//! Where an image is loaded from: a directory, or an archive in a file or a stream.
//!
//! Both hand out members by their path, as blobs copied into the content store's staging area while their digests are
//! computed.

mod archive;
mod directory;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use self::archive::Members;
use self::directory::Directory;
use crate::content::{StagedBlob, Staging};
use crate::digest::{Algorithm, Digest};
use crate::{Error, Limits, Result};

/// What to load.
pub enum Input<'a> {
    /// An archive, or a directory with an image layout in it.
    Path(&'a Path),
    /// An archive from a stream, such as standard input.
    Reader(&'a mut (dyn Read + Send)),
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Reader(_) => f.write_str("Reader"),
        }
    }
}

/// An opened input and the staging area that its blobs go to.
#[derive(Debug)]
pub(crate) struct Source {
    kind: Kind,
    staging: Staging,
    limits: Limits,
    /// For messages.
    pub(crate) name: String,
}

#[derive(Debug)]
enum Kind {
    Directory(Directory),
    Archive(Members),
}

impl Source {
    pub(crate) fn open(input: Input<'_>, mut staging: Staging, limits: &Limits) -> Result<Self> {
        let (kind, name) = match input {
            Input::Path(path) if path.is_dir() => {
                (Kind::Directory(Directory::open(path)?), path.display().to_string())
            }
            Input::Path(path) => {
                let file = File::open(path).map_err(|error| Error::file("open", path, error))?;
                let name = path.display().to_string();
                (Kind::Archive(Members::read(file, &mut staging, limits, &name)?), name)
            }
            Input::Reader(reader) => {
                let name = "the input";
                (Kind::Archive(Members::read(reader, &mut staging, limits, name)?), name.to_owned())
            }
        };
        Ok(Self { kind, staging, limits: limits.clone(), name })
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// A JSON document; `None` if there is no such member.
    pub(crate) fn document(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        let limit = self.limits.document;
        match &self.kind {
            Kind::Directory(directory) => directory.read(path, limit),
            Kind::Archive(members) => members.find(path).map(|blob| blob.read(limit, path)).transpose(),
        }
    }

    /// A member as a blob.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] if there is no such member.
    pub(crate) fn blob(
        &mut self,
        path: &str,
        algorithm: Algorithm,
        limit: u64,
        what: &str,
    ) -> Result<StagedBlob> {
        let missing = || Error::MissingBlob { what: format!("{what} ({path})") };
        match &self.kind {
            Kind::Directory(directory) => {
                let mut file = directory.open_file(path)?.ok_or_else(missing)?;
                self.staging.write(&mut file, algorithm, limit, what)
            }
            Kind::Archive(members) => members.find(path).cloned().ok_or_else(missing),
        }
    }

    /// The blob of an OCI layout with the given digest, verified.
    pub(crate) fn layout_blob(&mut self, digest: &Digest, size: u64, what: &str) -> Result<StagedBlob> {
        let path = format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
        let what = format!("{what} {digest}");
        self.blob(&path, digest.algorithm(), size, &what)?.expect(digest, Some(size), &what)
    }

    /// Stages bytes that were made here.
    pub(crate) fn stage(&mut self, bytes: &[u8], what: &str) -> Result<StagedBlob> {
        self.staging.write(&mut BufReader::new(bytes), Algorithm::Sha256, self.limits.document, what)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}
