//! Mounts of the spec: parsed, and bind sources opened as detached copies while the host's paths can still be reached.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, Mount};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::mount_options::MountOptions;
use super::namespaces::user_namespace;
use crate::error::{Context, Error};
use crate::sys::mount::{ATTR_IDMAP, MountAttr, clone_tree, set_attr};

/// One mount to make.
#[derive(Debug)]
pub(crate) struct MountPlan {
    /// Where, inside the rootfs.
    pub(crate) destination: PathBuf,
    pub(crate) source: Source,
    pub(crate) options: MountOptions,
}

/// What to mount.
#[derive(Debug)]
pub(crate) enum Source {
    /// A detached copy of a host path. `None`: the parent may not copy it (no CAP_SYS_ADMIN), the child
    /// does it with the rights of its user namespace.
    Bind { path: PathBuf, recursive: bool, tree: Option<OwnedFd> },
    /// A new file system of this kind.
    New { kind: String, source: String },
    /// The container's own cgroup.
    Cgroup,
    /// What is there already gets other attributes.
    Remount,
}

/// The mappings of the container's user namespace, for mounts that say only "idmap".
pub(crate) struct IdMaps<'a> {
    pub(crate) uid: &'a [LinuxIdMapping],
    pub(crate) gid: &'a [LinuxIdMapping],
}

impl MountPlan {
    pub(crate) fn new(mount: &Mount, bundle: &Path, maps: &IdMaps<'_>) -> Result<Self, Error> {
        let destination = mount.destination().clone();
        if destination.as_os_str().is_empty() {
            return Err(Error::spec("a mount without destination"));
        }
        let options = MountOptions::parse(mount.options().as_deref().unwrap_or_default());
        let kind = mount.typ().as_deref().unwrap_or_default();
        let source = if options.remount {
            Source::Remount
        } else if options.bind.is_some() || kind == "bind" || kind == "rbind" {
            let path = mount.source().as_ref().ok_or_else(|| {
                Error::spec(format!("the bind mount on {} has no source", destination.display()))
            })?;
            let recursive = options.bind == Some(true) || kind == "rbind";
            let path = bundle.join(path);
            Source::Bind { tree: copy(&path, recursive, &options.propagation)?, path, recursive }
        } else {
            match kind {
                "cgroup" | "cgroup2" => Source::Cgroup,
                "" | "none" => {
                    return Err(Error::spec(format!("the mount on {} has no type", destination.display())));
                }
                kind => {
                    let source = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
                    Source::New { kind: kind.to_owned(), source: source.unwrap_or_default() }
                }
            }
        };
        let plan = MountPlan { destination, source, options };
        plan.map_ids(mount, maps)?;
        Ok(plan)
    }

    /// Whether it goes on the container's /dev itself.
    pub(crate) fn is_on(&self, path: &str) -> bool {
        let plain = |path: &Path| -> Vec<_> {
            path.components()
                .filter(|part| matches!(part, Component::Normal(_)))
                .map(|p| p.as_os_str().to_owned())
                .collect()
        };
        plain(&self.destination) == plain(Path::new(path))
    }

    fn map_ids(&self, mount: &Mount, maps: &IdMaps<'_>) -> Result<(), Error> {
        let own_uid = mount.uid_mappings().as_deref().unwrap_or_default();
        let own_gid = mount.gid_mappings().as_deref().unwrap_or_default();
        let (uid, gid) =
            if own_uid.is_empty() && own_gid.is_empty() { (maps.uid, maps.gid) } else { (own_uid, own_gid) };
        let has_own = !own_uid.is_empty() || !own_gid.is_empty();
        let recursive = match (self.options.idmap, has_own) {
            (None, false) => return Ok(()),
            (None, true) => false,
            (Some(recursive), _) => recursive,
        };
        let destination = self.destination.display();
        let Source::Bind { tree, .. } = &self.source else {
            return Err(Error::spec(format!("id mappings on {destination}: only bind mounts can have them")));
        };
        if uid.is_empty() || gid.is_empty() {
            return Err(Error::spec(format!(
                "the id-mapped mount on {destination} has no uid or no gid mappings"
            )));
        }
        let tree = tree.as_ref().ok_or_else(|| Error::Unavailable {
            feature: format!("the id-mapped mount on {destination}"),
            reason: "it needs CAP_SYS_ADMIN on the host".to_owned(),
        })?;
        let user = user_namespace(uid, gid)?;
        let attr = MountAttr { set: ATTR_IDMAP, userns_fd: user.as_raw_fd() as u64, ..MountAttr::default() };
        set_attr(tree.as_fd(), recursive, &attr)
            .context(|| format!("map the ids of the mount on {destination}"))
    }
}

/// A detached copy of a host path. Without a word about propagation it is severed from that of its source.
/// `None` when this process may not make one.
pub(crate) fn copy(
    path: &Path,
    recursive: bool,
    propagation: &[(u64, bool)],
) -> Result<Option<OwnedFd>, Error> {
    match clone_tree(rustix::fs::CWD, path, recursive) {
        Ok(tree) => {
            set_propagation(tree.as_fd(), propagation)
                .context(|| format!("set the propagation of the copy of {}", path.display()))?;
            Ok(Some(tree))
        }
        Err(Errno::PERM) => Ok(None),
        Err(errno) => Err(errno).context(|| format!("open bind source {}", path.display())),
    }
}

/// Applies MS_* flags in their order, private when there are none.
pub(crate) fn set_propagation(mount: BorrowedFd<'_>, propagation: &[(u64, bool)]) -> Result<(), Errno> {
    let default = [(libc::MS_PRIVATE, true)];
    let flags = if propagation.is_empty() { &default } else { propagation };
    flags.iter().try_for_each(|&(flag, recursive)| set_attr(mount, recursive, &MountAttr::propagation(flag)))
}

/// Whether a mount (or place) is a directory.
pub(crate) fn is_directory(place: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(place)?.st_mode) == FileType::Directory)
}
