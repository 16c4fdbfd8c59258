//! The content store: blobs under their digests, `blobs/sha256/<hex>` (the naming of OCI image layouts).
//!
//! A blob is written to a temporary directory while its digest and size are computed, and gets its name only when both
//! are right, so a name in the store always stands for whole and verified content.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::digest::{Algorithm, Digest, Hasher};
use crate::temporary::TemporaryDirectory;
use crate::{Error, Result};

const BUFFER: usize = 256 << 10;

/// The directory of blobs.
#[derive(Clone, Debug)]
pub(crate) struct ContentStore {
    root: PathBuf,
}

impl ContentStore {
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Makes what is missing of its directories.
    pub(crate) fn make_directories(&self) -> Result<()> {
        for directory in ["sha256", "sha512", "tmp", "partial", "leases"] {
            let path = self.root.join(directory);
            std::fs::create_dir_all(&path).map_err(|error| Error::file("create", &path, error))?;
        }
        Ok(())
    }

    /// Where the blob is, if it is there.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.algorithm().name()).join(digest.hex())
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where blobs are that were not fetched to their end.
    pub(crate) fn partial(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.partial().join(format!("{}-{}", digest.algorithm().name(), digest.hex()))
    }

    /// The file of locks on blobs and layers.
    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// Bytes of a blob; `None` if it is not there.
    pub(crate) fn size(&self, digest: &Digest) -> Option<u64> {
        std::fs::symlink_metadata(self.path(digest))
            .ok()
            .filter(std::fs::Metadata::is_file)
            .map(|found| found.len())
    }

    /// Opens a blob for reading, unverified.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] if it is not in the store.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::MissingBlob { what: format!("blob {digest}") },
            _ => Error::file("open", &path, error),
        })
    }

    /// Opens a blob for reading; where its end would be, the reader fails if the content was not what its name says.
    pub(crate) fn open_verified(&self, digest: &Digest) -> Result<VerifiedReader> {
        let file = self.open_blob(digest)?;
        let hasher = Some(Hasher::new(digest.algorithm()));
        Ok(VerifiedReader { file, hasher, digest: digest.clone() })
    }

    /// The whole content of a blob, verified; at most `limit` bytes.
    pub(crate) fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let what = format!("blob {digest}");
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::file("read", &self.path(digest), error))?;
        if bytes.len() as u64 > limit {
            return Err(Error::Limit {
                what: format!("the size of {what}"),
                limit: format!("{limit} bytes"),
            });
        }
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        expect_digest(&what, digest, &hasher.finish())?;
        Ok(bytes)
    }

    /// Reads a whole blob and computes its digest again.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] if the disk holds something else.
    pub(crate) fn verify(&self, digest: &Digest) -> Result<()> {
        let mut file = self.open_blob(digest)?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::file("read", &self.path(digest), error)),
            }
        }
        expect_digest(&format!("blob {digest}"), digest, &hasher.finish())
    }

    /// A place for blobs that are not in the store yet.
    pub(crate) fn stage(&self) -> Result<Staging> {
        Ok(Staging { directory: TemporaryDirectory::create(&self.temporary())?, count: 0 })
    }

    /// Gives a staged blob its name. The caller has made its data durable.
    ///
    /// The staged file stays, for other images of the same archive that need it.
    pub(crate) fn commit(&self, blob: &StagedBlob) -> Result<()> {
        let path = self.path(&blob.digest);
        let failed = |error| Error::file("create", &path, error);
        let link = blob.path.with_extension("link");
        match std::fs::hard_link(&blob.path, &link) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        std::fs::rename(&link, &path).map_err(failed)
    }

    /// Makes the names durable.
    pub(crate) fn sync_names(&self) -> Result<()> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = self.root.join(algorithm.name());
            File::open(&path)
                .and_then(|directory| directory.sync_all())
                .map_err(|error| Error::file("sync", &path, error))?;
        }
        Ok(())
    }
}

/// See [`ContentStore::open_verified`].
#[derive(Debug)]
pub(crate) struct VerifiedReader {
    file: File,
    hasher: Option<Hasher>,
    digest: Digest,
}

impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(buffer.get(..count).unwrap_or_default());
            }
            return Ok(count);
        }
        if let Some(hasher) = self.hasher.take() {
            expect_digest(&format!("blob {}", self.digest), &self.digest, &hasher.finish())
                .map_err(std::io::Error::other)?;
        }
        Ok(0)
    }
}

/// Blobs on their way into the store; what is not committed goes with this value.
#[derive(Debug)]
pub(crate) struct Staging {
    directory: TemporaryDirectory,
    count: u64,
}

/// Whole content outside the store, and its digest.
#[derive(Clone, Debug)]
pub(crate) struct StagedBlob {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Staging {
    /// Copies `source` to its end, at most `limit` bytes of it, and computes its digest.
    pub(crate) fn write(
        &mut self,
        source: &mut dyn Read,
        algorithm: Algorithm,
        limit: u64,
        what: &str,
    ) -> Result<StagedBlob> {
        let path = self.directory.path().join(self.count.to_string());
        self.count += 1;
        let failed = |error| Error::file("write", &path, error);
        let mut file = File::create_new(&path).map_err(failed)?;
        let mut hasher = Hasher::new(algorithm);
        let mut size = 0;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Read(error)),
            };
            size += count as u64;
            if size > limit {
                return Err(Error::Limit {
                    what: format!("the size of {what}"),
                    limit: format!("{limit} bytes"),
                });
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes).map_err(failed)?;
        }
        Ok(StagedBlob { path, digest: hasher.finish(), size })
    }
}

impl StagedBlob {
    /// Refuses the blob if it is not the one expected.
    pub(crate) fn expect(self, digest: &Digest, size: Option<u64>, what: &str) -> Result<Self> {
        if let Some(expected) = size
            && expected != self.size
        {
            return Err(Error::SizeMismatch { what: what.to_owned(), expected, actual: self.size });
        }
        expect_digest(what, digest, &self.digest)?;
        Ok(self)
    }

    /// The whole content, at most `limit` bytes.
    pub(crate) fn read(&self, limit: u64, what: &str) -> Result<Vec<u8>> {
        if self.size > limit {
            return Err(Error::Limit {
                what: format!("the size of {what}"),
                limit: format!("{limit} bytes"),
            });
        }
        std::fs::read(&self.path).map_err(|error| Error::file("read", &self.path, error))
    }
}

fn expect_digest(what: &str, expected: &Digest, actual: &Digest) -> Result<()> {
    if expected == actual {
        return Ok(());
    }
    Err(Error::DigestMismatch { what: what.to_owned(), expected: expected.clone(), actual: actual.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, ContentStore) {
        let root = tempfile::tempdir().unwrap();
        let store = ContentStore::at(root.path().join("blobs"));
        store.make_directories().unwrap();
        (root, store)
    }

    #[test]
    fn commits_whole_and_verified_content() {
        let (_root, store) = store();
        let mut staging = store.stage().unwrap();
        let blob = staging.write(&mut &b"abc"[..], Algorithm::Sha256, 3, "blob").unwrap();
        assert_eq!((blob.size, &blob.digest), (3, &Digest::sha256(b"abc")));
        assert_eq!(blob.read(3, "blob").unwrap(), b"abc");
        assert!(!store.path(&blob.digest).exists());
        store.commit(&blob).unwrap();
        store.commit(&blob).unwrap();
        store.verify(&blob.digest).unwrap();
        drop(staging);
        assert_eq!(std::fs::read_dir(store.temporary()).unwrap().count(), 0);
        assert_eq!(std::fs::read(store.path(&blob.digest)).unwrap(), b"abc");
    }

    #[test]
    fn refuses_too_long_and_wrong_content() {
        let (_root, store) = store();
        let mut staging = store.stage().unwrap();
        let long = staging.write(&mut std::io::repeat(1), Algorithm::Sha256, 1 << 20, "layer x");
        assert_eq!(long.unwrap_err().to_string(), "the size of layer x exceeds the limit of 1048576 bytes");
        let blob = staging.write(&mut &b"abc"[..], Algorithm::Sha256, 9, "blob").unwrap();
        let other = Digest::sha256(b"abd");
        assert!(matches!(blob.clone().expect(&other, None, "b"), Err(Error::DigestMismatch { .. })));
        assert!(matches!(blob.clone().expect(&blob.digest, Some(4), "b"), Err(Error::SizeMismatch { .. })));
        assert!(matches!(blob.read(2, "b"), Err(Error::Limit { .. })));
    }

    #[test]
    fn notices_a_changed_and_a_missing_blob() {
        let (_root, store) = store();
        let digest = Digest::sha256(b"abc");
        assert!(matches!(store.verify(&digest), Err(Error::MissingBlob { .. })));
        std::fs::write(store.path(&digest), b"abX").unwrap();
        assert!(matches!(store.verify(&digest), Err(Error::DigestMismatch { .. })));
    }
}
