//! Builds the two file systems that ship with the engine: the guest's initramfs and the default image.
//!
//! Both are reproducible: the same inputs give the same bytes. Nothing is read from the machine but the
//! named input files and `SOURCE_DATE_EPOCH`; owners, times, inode numbers and order are fixed here.

mod applets;
mod cpio;
pub mod default_image;
mod elf;
pub mod initramfs;

use std::path::PathBuf;

pub use cpio::CpioWriter;

/// Why a file system could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    /// An input is not a program that could run there.
    #[error("cannot use {path} as {purpose}: {reason}")]
    NotAProgram { path: PathBuf, purpose: &'static str, reason: String },
    /// The archive's own format cannot express an entry, or its writer failed.
    #[error("cannot write archive entry {name:?}: {source}")]
    Entry { name: String, source: std::io::Error },
    /// busybox did not answer with its applets.
    #[error("cannot list the applets of {path}: {reason}")]
    Applets { path: PathBuf, reason: String },
}

/// The result of building a file system.
pub type Result<T> = std::result::Result<T, Error>;
