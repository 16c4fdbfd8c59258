//! The files of something that is rotated: `PATH.2.gz`, `PATH.1`, `PATH`.
//!
//! A file only ever moves on to a higher number, and no name comes back to a file that lost it. So names that were opened
//! one after the other show what was there at one moment if there are no others afterwards, and each still is the name of
//! the file that was opened; that one's inode is nobody else's while it is open. To come to the same twice proves
//! nothing: a file that is renamed under the first look and compressed under the second is missing in both.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use rustix::fs::{Mode, OFlags};
use sandbox_shim::log::INODE;

/// How often names may change while they are read; a writer does not rotate that quickly for long.
const ATTEMPTS: usize = 1000;

/// One of the files, open.
#[derive(Debug)]
pub(super) struct Link {
    name: Name,
    inode: u64,
    /// Of the plain file, which may be another's by now.
    plain_inode: u64,
    pub(super) file: File,
    /// Nanoseconds since 1970.
    pub(super) modified_ns: i64,
}

impl Link {
    /// Whether it is the file that everything written now goes to.
    pub(super) fn is_current(&self) -> bool {
        self.name.index == 0
    }

    /// A compressed file has no more to come.
    pub(super) fn is_compressed(&self) -> bool {
        self.name.compressed
    }

    /// Whether that file is this one.
    pub(super) fn has_inode(&self, inode: u64) -> bool {
        self.inode == inode
    }

    /// Whether it is `before`, which is open since, or was made from it. Of several the newest is: the others are
    /// older than that one, and had its inode before it.
    pub(super) fn continues(&self, before: &Link) -> bool {
        before.inode == if before.is_compressed() { self.inode } else { self.plain_inode }
    }
}

/// One of the names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    /// 0 is the current one.
    index: u32,
    compressed: bool,
    path: PathBuf,
}

/// All files there are, oldest first, none twice and none left out, whatever the writer does meanwhile. If it never
/// stops rotating, which removes files as quickly, only the current one is sure to be newer than all that was opened before.
pub(super) fn open(path: &Path) -> io::Result<Vec<Link>> {
    let mut chain = Vec::new();
    for _ in 0..ATTEMPTS {
        let names = names(path)?;
        chain = open_all(&names)?;
        if is_whole(path, &names, &chain)? {
            return Ok(chain);
        }
    }
    chain.retain(Link::is_current);
    Ok(chain)
}

/// Whether there is any file.
pub(super) fn exists(path: &Path) -> io::Result<bool> {
    Ok(!names(path)?.is_empty())
}

/// Those of the names that still are.
fn open_all(names: &[Name]) -> io::Result<Vec<Link>> {
    let mut chain: Vec<Link> = Vec::new();
    for name in names {
        // Compressed and not yet removed: the plain one came first.
        if chain.last().is_some_and(|last| last.name.index == name.index) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&name.path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        let modified_ns =
            metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let inode = metadata.ino();
        let plain_inode = if name.compressed { original(&file) } else { None }.unwrap_or(inode);
        chain.push(Link { name: name.clone(), inode, plain_inode, file, modified_ns });
    }
    Ok(chain)
}

/// Whether `chain`, which was opened by `names`, is what there was at one moment: that of listing the names again.
fn is_whole(path: &Path, names: &[Name], chain: &[Link]) -> io::Result<bool> {
    if self::names(path)? != names {
        return Ok(false);
    }
    for link in chain {
        match std::fs::symlink_metadata(&link.name.path) {
            Ok(metadata) if link.has_inode(metadata.ino()) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    // Each number that there is has a link.
    let mut numbers: Vec<u32> = names.iter().map(|name| name.index).collect();
    numbers.dedup();
    Ok(numbers.into_iter().eq(chain.iter().map(|link| link.name.index)))
}

/// The names, oldest first, plain before compressed.
fn names(path: &Path) -> io::Result<Vec<Name>> {
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
            None if rest.is_empty() => {
                names.push(Name { index: 0, compressed: false, path: path.to_owned() });
            }
            Some((Ok(index), compressed)) if index > 0 => {
                names.push(Name { index, compressed, path: dir.join(name) });
            }
            _ => {}
        }
    }
    // Names that mean the same, as `.1` and `.01`, have an order too.
    names.sort_by(|one, other| {
        (other.index, one.compressed, &one.path).cmp(&(one.index, other.compressed, &other.path))
    });
    Ok(names)
}

/// The inode that a compressed file had when it was plain.
fn original(file: &File) -> Option<u64> {
    let decoder = GzDecoder::new(BufReader::new(file));
    let number = decoder.header().and_then(|header| header.extra()?.strip_prefix(&INODE)?.try_into().ok());
    (&*file).seek(SeekFrom::Start(0)).ok()?;
    number.map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(path: &Path, suffix: &str) -> PathBuf {
        path.with_file_name(format!("log{suffix}"))
    }

    /// What a writer does, one rename after the other.
    fn rename(path: &Path, moves: &[(&str, &str)]) {
        for (from, to) in moves {
            std::fs::rename(numbered(path, from), numbered(path, to)).unwrap();
        }
    }

    fn texts(chain: Vec<Link>) -> Vec<String> {
        chain.into_iter().map(|mut link| std::io::read_to_string(&mut link.file).unwrap()).collect()
    }

    /// Both looks find the same three of four files, so that to agree is no proof.
    #[test]
    fn a_file_that_slips_through_is_missed_by_no_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for (suffix, text) in [(".2.gz", "0"), (".1.gz", "1"), ("", "2"), (".new", "3")] {
            std::fs::write(numbered(&path, suffix), text).unwrap();
        }
        // The middle of a rotation, which ends when the older files are open.
        rename(&path, &[(".2.gz", ".3.gz"), (".1.gz", ".2.gz")]);
        let before = names(&path).unwrap();
        rename(&path, &[("", ".1"), (".new", "")]);
        let first = open_all(&before).unwrap();
        assert!(!is_whole(&path, &before, &first).unwrap());
        // A file that has been compressed when it is its turn.
        let before = names(&path).unwrap();
        rename(&path, &[(".1", ".1.gz")]);
        let second = open_all(&before).unwrap();
        assert!(!is_whole(&path, &before, &second).unwrap());
        assert_eq!(texts(first), ["0", "1", "3"]);
        assert_eq!(texts(second), ["0", "1", "3"]);
        assert_eq!(texts(open(&path).unwrap()), ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_name_that_became_anothers_and_one_that_was_not_opened_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for suffix in [".1", "", ".new"] {
            std::fs::write(numbered(&path, suffix), suffix).unwrap();
        }
        let names = names(&path).unwrap();
        let mut chain = open_all(&names).unwrap();
        assert!(is_whole(&path, &names, &chain).unwrap());
        let current = chain.pop();
        assert!(!is_whole(&path, &names, &chain).unwrap());
        chain.extend(current);
        rename(&path, &[("", ".1"), (".new", "")]);
        assert!(!is_whole(&path, &names, &chain).unwrap());
    }

    /// Chains are taken all the time while files of one line each are rotated.
    #[test]
    fn chains_have_no_holes_while_files_are_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 0..3000_u32 {
                    std::fs::write(numbered(&path, ".new"), number.to_string()).unwrap();
                    for index in (0..6_u32).rev() {
                        let name = |index: u32| match index {
                            0 => path.clone(),
                            index => numbered(&path, &format!(".{index}")),
                        };
                        let _ = std::fs::rename(name(index), name(index + 1));
                    }
                    rename(&path, &[(".new", "")]);
                    std::thread::yield_now();
                }
            });
            while !writer.is_finished() {
                let numbers: Vec<u32> =
                    texts(open(&path).unwrap()).iter().map(|text| text.parse().unwrap()).collect();
                assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
            }
        });
    }
}
