//! Images: references, the content store, unpacked layers, and import from archives and directories.
//!
//! An image comes in through [`Store::pull`] from a registry, [`Store::load`] from an archive or layout,
//! [`Store::import`] from a root file system, or [`Store::commit`] from a container; it is found again by [`Store::resolve`], and goes by [`Store::push`],
//! [`Store::save`] and [`Store::remove`]. An image that the database knows has all its blobs and layers: it can be run,
//! pushed and saved. Several processes use one store at once, and any of them may be killed at any moment.
//!
//! What comes from outside is hostile until its digest is verified, and stays hostile as content: names in archives
//! never reach the file system except through checked, directory-relative calls; every length, count and depth has a
//! bound in [`Limits`].
//!
//! Refused: digests other than SHA-256 and SHA-512, manifests with two meanings, layers that leave their directory,
//! that would control overlayfs or reach devices of this machine, layers that are not to be distributed, bombs, and what
//! a [`Policy`] does not let in. The errors say which.

mod arrival;
mod check;
mod commit;
mod content;
mod database;
mod digest;
mod document;
mod error;
mod failure;
mod garbage;
mod growing;
mod history;
mod import;
mod index;
mod inspect;
mod layer;
mod lease;
mod limits;
mod load;
mod locks;
mod platform;
mod policy;
mod pull;
mod push;
mod reference;
mod remote;
mod removal;
mod retry;
mod rootfs;
mod save;
mod source;
mod store;
mod temporary;
mod time;
mod usage;

pub use check::{Finding, Problem};
pub use commit::CommitOptions;
pub use database::{ListedImage, SCHEMA, SCHEMA_REPOSITORIES};
pub use digest::{Algorithm, Digest};
pub use error::{Error, LayerError, Result};
pub use garbage::Collected;
pub use history::HistoryEntry;
pub use inspect::{DescriptorData, GraphDriver, GraphDriverData, Inspection, Metadata, RootFs};
pub use limits::Limits;
pub use load::{LoadOptions, Loaded, Progress};
pub use platform::Platform;
pub use policy::{Policy, Requirement, SignedBy, Subject, Transport, Verifier};
pub use pull::{PullEvent, PullOptions, PullState, PullStatus, Pulled};
pub use push::{PushEvent, PushOptions, PushState, Pushed};
pub use reference::Reference;
pub use remote::{ManifestName, Origin, RemoteBlob, RemoteDocument, RemoteError, RemoteErrorKind, Target};
pub use removal::{ImageUser, LabelFilter, PruneOptions, Pruned, RemoveOptions, Removed, Users};
pub use rootfs::{Change, ImportOptions, Imported};
pub use save::SaveFormat;
pub use source::Input;
pub use store::{DEFAULT_IMAGE, Image, Store};
pub use usage::{ImageUsage, Usage};

#[cfg(test)]
mod tests;
