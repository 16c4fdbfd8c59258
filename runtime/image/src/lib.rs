//! Images: references, the content store, unpacked layers, and import from archives and directories.
//!
//! An image comes in through [`Store::load`], which takes OCI layouts and archives of `docker save`, and is found again
//! by [`Store::resolve`]. What comes from outside is hostile until its digest is verified, and stays hostile as
//! content: names in archives never reach the file system except through checked, directory-relative calls; every
//! length, count and depth has a bound in [`Limits`].
//!
//! Refused: digests other than SHA-256 and SHA-512, manifests with two meanings, layers that leave their directory,
//! that would control overlayfs or reach devices of this machine, and bombs. The errors say which.

mod content;
mod database;
mod digest;
mod document;
mod error;
mod garbage;
mod import;
mod layer;
mod limits;
mod load;
mod platform;
mod reference;
mod remote;
mod source;
mod store;
mod tar;
mod temporary;
mod time;

pub use database::{ListedImage, SCHEMA};
pub use digest::{Algorithm, Digest};
pub use error::{Error, LayerError, Result};
pub use garbage::Collected;
pub use limits::Limits;
pub use load::{LoadOptions, Loaded, Progress};
pub use platform::Platform;
pub use reference::Reference;
pub use remote::{ManifestName, Origin, RemoteBlob, RemoteDocument, RemoteError, RemoteErrorKind, Target};
pub use source::Input;
pub use store::{DEFAULT_IMAGE, Image, Store};

#[cfg(test)]
mod tests;
