//! The files of something that is rotated: `PATH.2.gz`, `PATH.1`, `PATH`.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use rustix::fs::{Mode, OFlags};
use sandbox_shim::log::INODE;

/// How often names may change while they are read; a writer does not rotate that quickly.
const ATTEMPTS: usize = 50;

/// One of the files, open.
#[derive(Debug)]
pub(super) struct Link {
    /// 0 is the current one.
    pub(super) index: u32,
    pub(super) inode: u64,
    pub(super) file: File,
    pub(super) compressed: bool,
    /// Nanoseconds since 1970.
    pub(super) modified_ns: i64,
}

/// All files there are, oldest first, none twice and none left out, whatever the writer does meanwhile.
pub(super) fn open(path: &Path) -> io::Result<Vec<Link>> {
    let mut chain = attempt(path)?;
    for _ in 0..ATTEMPTS {
        let again = attempt(path)?;
        let same = |(one, other): (&Link, &Link)| (one.index, one.inode) == (other.index, other.inode);
        if chain.len() == again.len() && chain.iter().zip(&again).all(same) {
            break;
        }
        chain = again;
    }
    Ok(chain)
}

fn attempt(path: &Path) -> io::Result<Vec<Link>> {
    let mut chain: Vec<Link> = Vec::new();
    for (index, compressed, name) in names(path)? {
        // Compressed and not yet removed: the plain one came first.
        if chain.last().is_some_and(|last| last.index == index) {
            continue;
        }
        let file =
            match rustix::fs::open(&name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            {
                Ok(file) => File::from(file),
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
        let metadata = file.metadata()?;
        let modified_ns =
            metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let inode = if compressed { original(&file) } else { None }.unwrap_or_else(|| metadata.ino());
        chain.push(Link { index, inode, file, compressed, modified_ns });
    }
    Ok(chain)
}

/// The names, oldest first, plain before compressed.
fn names(path: &Path) -> io::Result<Vec<(u32, bool, PathBuf)>> {
    let (Some(dir), Some(base)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(base)) else { continue };
        let number = rest.strip_prefix('.').map(|rest| match rest.strip_suffix(".gz") {
            Some(number) => (number, true),
            None => (rest, false),
        });
        match number.map(|(number, compressed)| (number.parse::<u32>(), compressed)) {
            None if rest.is_empty() => names.push((0, false, path.to_owned())),
            Some((Ok(index), compressed)) if index > 0 => names.push((index, compressed, dir.join(name))),
            _ => {}
        }
    }
    names.sort_by_key(|(index, compressed, _)| (std::cmp::Reverse(*index), *compressed));
    Ok(names)
}

/// The inode that a compressed file had when it was plain.
fn original(file: &File) -> Option<u64> {
    let decoder = GzDecoder::new(BufReader::new(file));
    let number = decoder.header().and_then(|header| header.extra()?.strip_prefix(&INODE)?.try_into().ok());
    (&*file).seek(SeekFrom::Start(0)).ok()?;
    number.map(u64::from_le_bytes)
}
