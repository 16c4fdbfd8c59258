//! The image store: what the engine and the command use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::ImageConfiguration;
use rusqlite::Connection;
use rustix::fs::FlockOperation;

use crate::content::ContentStore;
use crate::database::{self, ListedImage, Record};
use crate::digest::{Digest, clip};
use crate::layer::LayerStore;
use crate::reference::Reference;
use crate::temporary::{lock_file, sweep};
use crate::{Error, Result};

/// The name of the embedded image.
pub const DEFAULT_IMAGE: &str = "localhost/busybox:latest";

/// Blobs and unpacked layers below one directory.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) root: Arc<PathBuf>,
    pub(crate) content: ContentStore,
    pub(crate) layers: LayerStore,
}

/// An image that containers can be made of.
#[derive(Clone)]
pub struct Image {
    /// The digest of the config: what tables show as the image's id.
    pub id: Digest,
    /// The digest of the manifest.
    pub manifest: Digest,
    pub config: ImageConfiguration,
    /// The config as it is: members that the specification does not know are in here only.
    pub raw_config: Vec<u8>,
    /// The layers' chain ids, bottom first.
    pub chain_ids: Vec<Digest>,
    /// The unpacked layers, BOTTOM FIRST (overlayfs' `lowerdir` wants them the other way round). Never empty: an image
    /// without layers has one empty directory.
    pub layer_dirs: Vec<PathBuf>,
    /// Bytes of the files of all layers.
    pub size: u64,
    /// Seconds since 1970, if the image says so.
    pub created: Option<i64>,
    pub names: Vec<Reference>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("id", &self.id)
            .field("manifest", &self.manifest)
            .field("names", &self.names)
            .field("layer_dirs", &self.layer_dirs)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store below `root`, the directory of the engine's state; made if missing.
    pub fn open(root: &Path) -> Result<Self> {
        let content = ContentStore::at(root.join("blobs"));
        let layers = LayerStore::at(root.join("layers"), content.locks());
        let store = Self { root: Arc::new(root.to_owned()), content, layers };
        // Made last: where it is, the others are. Every start of a container comes by here.
        if !store.empty_layer().is_dir() {
            store.make_directories()?;
        }
        Ok(store)
    }

    /// Makes what is missing of the store's directories.
    pub(crate) fn make_directories(&self) -> Result<()> {
        self.content.make_directories()?;
        for path in [self.layers.temporary(), self.empty_layer()] {
            std::fs::create_dir_all(&path).map_err(|error| Error::file("create", &path, error))?;
        }
        Ok(())
    }

    /// Finds an image by name, `name@digest`, id or the beginning of an id, in this order, as Docker does.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::AmbiguousId`], or [`Error::InvalidReference`] for what could be neither.
    pub fn resolve(&self, conn: &Connection, name: &str) -> Result<Image> {
        self.image(conn, find(conn, name)?)
    }

    /// The names and dangling images, newest first.
    pub fn list(&self, conn: &Connection) -> Result<Vec<ListedImage>> {
        database::list(conn)
    }

    /// Takes a name from its image, which stays.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`] if nothing has this name.
    pub fn untag(&self, conn: &Connection, name: &Reference) -> Result<Digest> {
        database::remove_name(conn, name)?.ok_or_else(|| Error::NoSuchImage(name.familiar()))
    }

    /// Gives an image one more name; an image that had it before loses it and is returned.
    pub fn tag(&self, conn: &Connection, image: &Image, name: &Reference) -> Result<Option<Digest>> {
        database::set_name(conn, name, &image.manifest)
    }

    /// Reads all blobs of an image and computes their digests again.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] or [`Error::DigestMismatch`] for the first one that is not as it was.
    pub fn verify(&self, conn: &Connection, image: &Image) -> Result<()> {
        self.content.verify(&image.manifest)?;
        self.content.verify(&image.id)?;
        database::layer_blobs(conn, &image.manifest)?.iter().try_for_each(|blob| self.content.verify(blob))
    }

    /// Removes what killed processes left in the temporary directories.
    pub fn sweep(&self) -> Result<()> {
        sweep(&self.content.temporary())?;
        sweep(&self.layers.temporary())
    }

    /// Loads the embedded image from `archive` if no image has the name [`DEFAULT_IMAGE`].
    pub fn ensure_default(&self, conn: &Connection, archive: &Path) -> Result<()> {
        match find(conn, DEFAULT_IMAGE) {
            Ok(_) => Ok(()),
            Err(Error::NoSuchImage(_)) => {
                let options = crate::LoadOptions::default();
                self.load(conn, crate::Input::Path(archive), &options, &mut |_| {}).map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    fn image(&self, conn: &Connection, record: Record) -> Result<Image> {
        let config = record.parse_config()?;
        let diff_ids: Vec<Digest> =
            config.rootfs().diff_ids().iter().map(|id| id.parse()).collect::<Result<_>>()?;
        let chain_ids = chain_ids(&diff_ids);
        let mut layer_dirs: Vec<PathBuf> = chain_ids.iter().map(|chain| self.layers.diff(chain)).collect();
        if layer_dirs.is_empty() {
            layer_dirs.push(self.empty_layer());
        }
        Ok(Image {
            names: database::names(conn, &record.manifest)?,
            id: record.id,
            manifest: record.manifest,
            config,
            raw_config: record.config,
            chain_ids,
            layer_dirs,
            size: record.size,
            created: record.created,
        })
    }

    /// Stands for the layers of an image that has none: an overlay without a lower directory is not one.
    fn empty_layer(&self) -> PathBuf {
        self.layers.root().join("empty").join("diff")
    }

    /// Held shared by who writes a lease, alone by who removes content; either is a matter of moments.
    pub(crate) fn lock(&self, operation: FlockOperation) -> Result<std::os::fd::OwnedFd> {
        lock_file(&self.root.join("blobs").join("lock"), operation)
    }
}

/// The chain ids of layers, bottom first (OCI image-spec, config.md#layer-chainid).
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::sha256(format!("{below} {diff_id}").as_bytes()),
        });
    }
    chain
}

/// Finds an image as [`Store::resolve`] does.
pub(crate) fn find(conn: &Connection, name: &str) -> Result<Record> {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    let is_hex = (1..=64).contains(&hex.len())
        && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let by_id = |conn| if is_hex { database::by_id(conn, &format!("sha256:{hex}")) } else { Ok(None) };
    // `sha256:…` could be a name with a tag, but nobody means that.
    if name.starts_with("sha256:") || hex.len() == 64 && is_hex {
        return by_id(conn)?.ok_or_else(|| Error::NoSuchImage(clip(name)));
    }
    let reference: Reference = name.parse()?;
    let found = match reference.digest() {
        Some(digest) => database::by_manifest(conn, &reference.repository(), digest)?,
        None => database::by_name(conn, &reference)?,
    };
    match found {
        Some(record) => Ok(record),
        None => by_id(conn)?.ok_or_else(|| Error::NoSuchImage(reference.familiar())),
    }
}
