//! The names of a log's files, and what the options say of them.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::options::{Options, boolean, integer};
use crate::log::size::{self, Kilo};

/// Docker's for `local`.
const LOCAL_SIZE: u64 = 20 << 20;
const LOCAL_FILES: i64 = 5;

/// How large a log may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct Rotation {
    /// Bytes of a file.
    pub(in crate::log) max_size: Option<u64>,
    /// With the current one, at least 1.
    pub(in crate::log) max_files: u32,
    pub(in crate::log) compress: bool,
}

impl Rotation {
    pub(in crate::log) fn parse(driver: &str, options: &Options) -> Result<Rotation, String> {
        let local = driver == "local";
        let within = |name: &str, value: &str, error: String| {
            if local { format!("invalid value for {name}: {value}: {error}") } else { error }
        };
        let mut max_size = local.then_some(LOCAL_SIZE);
        if let Some(text) = options.get("max-size") {
            let bytes = size::bytes(text, Kilo::Decimal).map_err(|error| within("max-size", text, error))?;
            if bytes == 0 {
                let word = if local { "max size should be a" } else { "max-size must be a" };
                return Err(format!("{word} positive number"));
            }
            max_size = Some(bytes);
        }
        let mut files = if local { LOCAL_FILES } else { 1 };
        if let Some(text) = options.get("max-file") {
            files = integer(text).map_err(|error| within("max-file", text, error))?;
            match files {
                ..0 if local => return Err("max file count cannot be less than 0".to_owned()),
                ..1 if !local => return Err("max-file cannot be less than 1".to_owned()),
                _ => {}
            }
        }
        let mut compress = local;
        if let Some(text) = options.get("compress") {
            compress = boolean(text).map_err(|error| within("compress", text, error))?;
        }
        if compress && local && files <= 1 {
            return Err("compression cannot be enabled when max file count is 1".to_owned());
        }
        if compress && (files < 2 || max_size.is_none()) {
            return Err(
                "compress cannot be true when max-file is less than 2 or max-size is not set".to_owned()
            );
        }
        let max_files = u32::try_from(files.max(1)).unwrap_or(u32::MAX);
        Ok(Rotation { max_size, max_files, compress })
    }
}

/// `PATH.2`, `PATH.2.gz`
pub(super) fn numbered(path: &Path, index: u32, compressed: bool) -> PathBuf {
    beside(path, &format!(".{index}{}", if compressed { ".gz" } else { "" }))
}

/// A current file that is not one yet.
pub(super) fn unborn(path: &Path) -> PathBuf {
    beside(path, ".new")
}

/// A compressed file that is not whole yet.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".gz.new")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Takes away what a kill left half done: files that have no name of their own yet, and compressed ones beside what they
/// were made from.
pub(super) fn tidy(path: &Path) -> io::Result<()> {
    remove(&unborn(path))?;
    remove(&unfinished(path))?;
    let mut index = 1;
    loop {
        let (plain, compressed) = (numbered(path, index, false), numbered(path, index, true));
        match (plain.try_exists()?, compressed.try_exists()?) {
            (true, true) => remove(&compressed)?,
            (false, false) => return Ok(()),
            _ => {}
        }
        index += 1;
    }
}

/// Frees number 1. Up to the first number that is free, which is returned, or the last that may be used, which is
/// removed, every file goes one further; the oldest go first, so that none ever meets another.
pub(super) fn make_room(path: &Path, max_files: u32) -> io::Result<u32> {
    let last = max_files - 1;
    let mut gap = 1;
    while gap < last && exists(path, gap)? {
        gap += 1;
    }
    for compressed in [false, true] {
        remove(&numbered(path, gap, compressed))?;
    }
    for index in (1..gap).rev() {
        for compressed in [false, true] {
            let moved =
                std::fs::rename(numbered(path, index, compressed), numbered(path, index + 1, compressed));
            moved.or_else(absent)?;
        }
    }
    Ok(gap)
}

fn exists(path: &Path, index: u32) -> io::Result<bool> {
    Ok(numbered(path, index, false).try_exists()? || numbered(path, index, true).try_exists()?)
}

fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path).or_else(absent)
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
