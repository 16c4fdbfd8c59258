//! The image as seen while one layer is unpacked: the new layer on top of the finished ones, merged as overlayfs
//! will merge them.
//!
//! An entry's parent directory is looked up in this view, so that a directory that the archive does not mention keeps
//! the owner and mode that a layer below gave it, and a path through a symbolic link of the image (`/lib` in merged-usr
//! images) arrives where it does in the container. Links are resolved here, by hand: one that climbs above the
//! image's root or leads nowhere is refused, and the kernel is never asked to follow any.

use std::cell::OnceCell;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use sandbox_tar::metadata::{self, Metadata};

use super::{LayerError, Refusal, entry_error, fs, path, refused};

/// Links on one path, as the kernel has it (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// Parent directories that stay open.
const CACHE: usize = 64;

/// The finished layers below, top-most first; asked for only when needed, because they may still be in the making.
pub(super) type Lower<'a> = dyn Fn() -> Result<Vec<Arc<OwnedFd>>, LayerError> + 'a;

/// See the module's documentation.
pub(super) struct Tree<'a> {
    top: OwnedFd,
    lower: &'a Lower<'a>,
    layers: OnceCell<Vec<Arc<OwnedFd>>>,
    cache: HashMap<Vec<u8>, Rc<OwnedFd>>,
    /// Directories made without an entry of their own, and the times that they shall have at the end.
    pub(super) implied: Vec<(Vec<u8>, (i64, u32))>,
}

/// One directory of the merged view: its parts, top-most first, and whether the first one is in the new layer.
#[derive(Clone, Default)]
struct Level {
    parts: Vec<Arc<OwnedFd>>,
    top: bool,
}

enum Found {
    Missing,
    Directory(Level),
    Symlink(Vec<u8>),
    Other,
}

/// Where a file of the merged view is.
pub(super) struct Located {
    /// The directory that holds it.
    pub(super) directory: Arc<OwnedFd>,
    pub(super) in_top: bool,
    /// Its path with all links resolved.
    pub(super) path: Vec<Vec<u8>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(top: OwnedFd, lower: &'a Lower<'a>) -> Self {
        Self { top, lower, layers: OnceCell::new(), cache: HashMap::new(), implied: Vec::new() }
    }

    /// The root directory of the new layer.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// To be called whenever a directory of the new layer was removed.
    pub(super) fn forget(&mut self) {
        self.cache.clear();
    }

    /// The directory of the new layer that `components` lead to, made if missing.
    pub(super) fn directory(&mut self, components: &[&[u8]]) -> Result<Rc<OwnedFd>, LayerError> {
        let key = path::join(components);
        if let Some(open) = self.cache.get(&key) {
            return Ok(Rc::clone(open));
        }
        let open = match fs::open_beneath(self.top.as_fd(), &key) {
            Ok(open) => open,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {
                let (resolved, levels) = self.resolve(components, &key)?;
                self.make(&resolved, &levels)?
            }
            Err(errno) => return Err(entry_error(&key, "open the directory", errno)),
        };
        let open = Rc::new(open);
        if self.cache.len() >= CACHE {
            self.cache.clear();
        }
        self.cache.insert(key, Rc::clone(&open));
        Ok(open)
    }

    /// Finds the file at `components`; its last component is not followed.
    pub(super) fn locate(&self, components: &[&[u8]]) -> Result<Option<Located>, LayerError> {
        let whole = path::join(components);
        let Some((name, parents)) = components.split_last() else { return Ok(None) };
        let (mut path, levels) = self.resolve(parents, &whole)?;
        let Some(level) = levels.last() else { return Ok(None) };
        path.push(name.to_vec());
        for (index, part) in level.parts.iter().enumerate() {
            match fs::stat(part.as_fd(), name).map_err(|errno| entry_error(&whole, "look up", errno))? {
                None => {}
                Some(found) if fs::is_whiteout(&found) => return Ok(None),
                Some(_) => {
                    let in_top = level.top && index == 0;
                    return Ok(Some(Located { directory: Arc::clone(part), in_top, path }));
                }
            }
        }
        Ok(None)
    }

    /// Walks `components` through the merged view. Returns the path without links, and the merged directory at each
    /// of its steps, the root first; steps that are missing have no parts.
    fn resolve(&self, components: &[&[u8]], whole: &[u8]) -> Result<(Vec<Vec<u8>>, Vec<Level>), LayerError> {
        let mut pending: VecDeque<Vec<u8>> = components.iter().map(|name| name.to_vec()).collect();
        // How many of the pending components come from a link's target, and the link itself.
        let (mut from_link, mut link) = (0usize, Vec::new());
        let mut links = 0;
        let mut path: Vec<Vec<u8>> = Vec::new();
        let mut levels = vec![self.root_level()?];
        while let Some(name) = pending.pop_front() {
            let of_link = from_link > 0;
            from_link = from_link.saturating_sub(1);
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if path.pop().is_none() {
                        return Err(through(whole, &link, "out of the image"));
                    }
                    levels.pop();
                    continue;
                }
                _ => {}
            }
            let here = levels.last().cloned().unwrap_or_default();
            match child(&here, &name).map_err(|errno| entry_error(whole, "look up", errno))? {
                Found::Directory(level) => {
                    path.push(name);
                    levels.push(level);
                }
                Found::Missing if of_link => return Err(through(whole, &link, "nowhere in the image")),
                Found::Missing => {
                    path.push(name);
                    levels.push(Level::default());
                }
                Found::Symlink(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(refused(whole, Refusal("goes through too many symbolic links")));
                    }
                    path.push(name);
                    link = path::join(&path);
                    path.pop();
                    if target.starts_with(b"/") {
                        path.clear();
                        levels.truncate(1);
                    }
                    let parts: Vec<Vec<u8>> =
                        target.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
                    from_link += parts.len();
                    for part in parts.into_iter().rev() {
                        pending.push_front(part);
                    }
                }
                Found::Other => {
                    return Err(refused(whole, Refusal("goes through a file as if it were a directory")));
                }
            }
        }
        Ok((path, levels))
    }

    /// Makes in the new layer what is missing of `components`, which have no links in them.
    fn make(&mut self, components: &[Vec<u8>], levels: &[Level]) -> Result<OwnedFd, LayerError> {
        let mut open =
            fs::open_beneath(self.top.as_fd(), b".").map_err(|errno| entry_error(b".", "open", errno))?;
        for (depth, name) in components.iter().enumerate() {
            let path = path::join(components.get(..=depth).unwrap_or_default());
            let failed = |action, errno| entry_error(&path, action, errno);
            let next = match fs::open_directory(open.as_fd(), name) {
                Ok(next) => next,
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    // NOTDIR: a whiteout, or the walk would have ended there.
                    let replaces =
                        fs::stat(open.as_fd(), name).map_err(|errno| failed("look up", errno))?.is_some();
                    if replaces {
                        fs::remove(open.as_fd(), name).map_err(|errno| failed("replace", errno))?;
                    }
                    let mode = Mode::from_raw_mode(0o755);
                    rustix::fs::mkdirat(&open, name.as_slice(), mode)
                        .map_err(|errno| failed("create", errno))?;
                    let next =
                        fs::open_directory(open.as_fd(), name).map_err(|errno| failed("open", errno))?;
                    if replaces {
                        fs::set_opaque(next.as_fd()).map_err(|errno| failed("mark as opaque", errno))?;
                    }
                    let below = levels.get(depth + 1).and_then(|level| level.parts.first());
                    let metadata = match below {
                        Some(below) => {
                            metadata::read(below.as_fd()).map_err(|errno| failed("inspect", errno))?
                        }
                        None => Metadata::plain_directory(),
                    };
                    metadata.apply(next.as_fd()).map_err(|errno| failed("set the attributes of", errno))?;
                    self.implied.push((path, metadata.mtime));
                    next
                }
                Err(errno) => return Err(failed("open", errno)),
            };
            open = next;
        }
        Ok(open)
    }

    fn root_level(&self) -> Result<Level, LayerError> {
        let lower = if let Some(layers) = self.layers.get() {
            layers
        } else {
            let layers = (self.lower)()?;
            self.layers.get_or_init(|| layers)
        };
        let top =
            fs::open_beneath(self.top.as_fd(), b".").map_err(|errno| entry_error(b".", "open", errno))?;
        let mut level = Level { parts: vec![Arc::new(top)], top: true };
        for layer in lower {
            if level.parts.last().is_some_and(|part| fs::is_opaque(part.as_fd()).unwrap_or(false)) {
                break;
            }
            level.parts.push(Arc::clone(layer));
        }
        Ok(level)
    }
}

/// Looks `name` up as overlayfs does: the top-most part that has it decides, and directories merge until one is opaque
/// or something else is in the way.
fn child(level: &Level, name: &[u8]) -> rustix::io::Result<Found> {
    let mut merged = Level::default();
    for (index, part) in level.parts.iter().enumerate() {
        let Some(found) = fs::stat(part.as_fd(), name)? else { continue };
        if fs::kind(&found) == FileType::Directory {
            let directory = Arc::new(fs::open_directory(part.as_fd(), name)?);
            let opaque = fs::is_opaque(directory.as_fd())?;
            merged.top |= level.top && index == 0;
            merged.parts.push(directory);
            if opaque {
                break;
            }
        } else if !merged.parts.is_empty() || fs::is_whiteout(&found) {
            break;
        } else if fs::kind(&found) == FileType::Symlink {
            return Ok(Found::Symlink(rustix::fs::readlinkat(part, name, Vec::new())?.into_bytes()));
        } else {
            return Ok(Found::Other);
        }
    }
    Ok(if merged.parts.is_empty() { Found::Missing } else { Found::Directory(merged) })
}

fn through(whole: &[u8], link: &[u8], where_to: &str) -> LayerError {
    LayerError::Refused {
        path: String::from_utf8_lossy(whole).into_owned(),
        reason: format!(
            "goes through the symbolic link {:?}, which leads {where_to}",
            String::from_utf8_lossy(link)
        ),
    }
}
