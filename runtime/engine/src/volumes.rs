//! Local volumes: directories that the engine keeps at `<root>/volumes/<name>/_data`, and the host paths of binds.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::Mode;

use crate::error::{Error, Result};
use crate::id;
use crate::parse::environment::describe;
use crate::parse::mount::{Mount, Source};
use crate::paths::{Paths, private_dir};
use crate::remove;
use crate::request::Request;
use crate::spec::Resolved;
use crate::state::containers::{self, State};
use crate::state::volumes;

/// An image with more volumes than this is refused.
const MAX_IMAGE_VOLUMES: usize = 256;

/// A volume that a container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    name: String,
    anonymous: bool,
    /// The container that it is taken from (`--volumes-from`).
    lender: Option<String>,
}

/// A mount of another container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inherited {
    pub(crate) lender: String,
    pub(crate) resolved: Resolved,
}

/// The mounts of a request, those of other containers (`inherited`) and of its image's `VOLUME`s with their host paths. Makes nothing yet, but
/// refuses what cannot be: a source that is not there, two mounts on one place.
pub(crate) fn resolve(
    request: &Request,
    inherited: Vec<Inherited>,
    image: &[String],
    paths: &Paths,
) -> Result<(Vec<Resolved>, Vec<Use>)> {
    let mut resolved: Vec<Resolved> = Vec::new();
    let mut uses = Vec::new();
    for mount in &request.mounts {
        if resolved.iter().any(|other| other.mount.target == mount.target) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", mount.target)));
        }
        resolved.push(one(mount, paths, &mut uses)?);
    }
    for Inherited { lender, resolved: other } in inherited {
        if resolved.iter().any(|own| own.mount.target == other.mount.target) {
            continue;
        }
        if let Source::Volume { name: Some(name) } = &other.mount.source {
            uses.push(Use { name: name.clone(), anonymous: false, lender: Some(lender) });
        }
        resolved.push(other);
    }
    if image.len() > MAX_IMAGE_VOLUMES {
        return Err(Error::invalid(format!("the image has more than {MAX_IMAGE_VOLUMES} volumes")));
    }
    for target in image {
        // The image's word: the same grammar as the user's, and a user's mount on the same place wins.
        let mount = crate::parse::volume::parse(target, Path::new("/"))
            .map_err(|e| Error::invalid(format!("VOLUME of the image: {e}")))?;
        if !matches!(mount.source, Source::Volume { name: None }) {
            return Err(Error::invalid(format!("VOLUME of the image: {target:?} is not a path")));
        }
        if !resolved.iter().any(|other| other.mount.target == mount.target) {
            resolved.push(one(&mount, paths, &mut uses)?);
        }
    }
    Ok((resolved, uses))
}

fn one(mount: &Mount, paths: &Paths, uses: &mut Vec<Use>) -> Result<Resolved> {
    let host_path = match &mount.source {
        Source::Tmpfs { .. } => None,
        Source::Bind { path, create, .. } => {
            if !create {
                check_source(path)?;
            }
            Some(PathBuf::from(path))
        }
        Source::Volume { name } => {
            let volume = Use {
                name: name.clone().map_or_else(id::generate, Ok)?,
                anonymous: name.is_none(),
                lender: None,
            };
            let path = paths.volume(&volume.name).join("_data");
            uses.push(volume);
            Some(path)
        }
    };
    Ok(Resolved { mount: mount.clone(), host_path })
}

fn check_source(path: &str) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::invalid(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {path}"
        ))),
        Err(e) => Err(Error::invalid(format!(
            "invalid mount config for type \"bind\": stat {path}: {}",
            describe(&e)
        ))),
    }
}

/// Writes the volumes and their use down; part of the transaction that inserts the container.
pub(crate) fn record(connection: &Connection, container: &str, uses: &[Use], now_ns: i64) -> Result<()> {
    for volume in uses {
        if let Some(lender) = &volume.lender {
            // One that is being removed takes its volumes along, unless somebody else was there before.
            match containers::get(connection, lender)?.map(|lender| lender.state) {
                None | Some(State::Removing) => return Err(Error::NoSuchContainer(lender.clone())),
                Some(State::Created | State::Running | State::Exited) => {}
            }
        }
        volumes::ensure(connection, &volume.name, volume.anonymous, now_ns)?;
        volumes::attach(connection, &volume.name, container)?;
    }
    Ok(())
}

/// Makes the directories: of volumes, and of binds that may be made.
pub(crate) fn make(resolved: &[Resolved], uses: &[Use], paths: &Paths) -> Result<()> {
    for volume in uses {
        let dir = paths.volume(&volume.name);
        private_dir(&dir)?;
        let data = dir.join("_data");
        match rustix::fs::mkdir(&data, Mode::from_raw_mode(0o755)) {
            // Our umask is not the container's.
            Ok(()) => rustix::fs::chmod(&data, Mode::from_raw_mode(0o755))
                .map_err(Error::io("change the mode of", &data))?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(Error::io("create directory", data)(e)),
        }
    }
    for Resolved { mount, host_path } in resolved {
        if let (Source::Bind { create: true, path, .. }, Some(host_path)) = (&mount.source, host_path)
            && !host_path.exists()
        {
            std::fs::create_dir_all(host_path).map_err(|e| {
                Error::invalid(format!(
                    "error while creating mount source path '{path}': mkdir {path}: {}",
                    describe(&e)
                ))
            })?;
        }
    }
    Ok(())
}

/// Removes the anonymous volumes that end with a container.
pub(crate) fn remove_anonymous(connection: &Connection, container: &str, paths: &Paths) -> Result<()> {
    for name in volumes::anonymous_of(connection, container)? {
        remove::tree(&paths.volume(&name))?;
        volumes::delete(connection, &name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{mount_flag, volume};

    fn request(mounts: Vec<Mount>) -> Request {
        Request { mounts, ..Request::default() }
    }

    fn v(text: &str) -> Mount {
        volume::parse(text, Path::new("/")).unwrap()
    }

    #[test]
    fn user_mounts_go_before_the_images_volumes() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("root"), &dir.path().join("run")).unwrap();
        let image = ["/data".to_owned(), "/cache".to_owned()];
        let (resolved, uses) = resolve(&request(vec![v("mine:/data")]), vec![], &image, &paths).unwrap();
        assert_eq!(resolved.len(), 2);
        assert_eq!(resolved[0].host_path.as_deref(), Some(paths.root.join("volumes/mine/_data").as_path()));
        assert!(!uses[0].anonymous && uses[1].anonymous);
        assert!(id::is_full(&uses[1].name));
        paths.prepare().unwrap();
        make(&resolved, &uses, &paths).unwrap();
        make(&resolved, &uses, &paths).unwrap();
        assert!(paths.root.join("volumes/mine/_data").is_dir());
    }

    #[test]
    fn refusals() {
        let paths = Paths::new(Path::new("/r"), Path::new("/s")).unwrap();
        let text = |request: &Request, image: &[String]| {
            resolve(request, vec![], image, &paths).unwrap_err().to_string()
        };
        assert_eq!(text(&request(vec![v("/a:/x"), v("data:/x")]), &[]), "Duplicate mount point: /x");
        let strict = mount_flag::parse("type=bind,src=/not/there,dst=/x").unwrap();
        assert_eq!(
            text(&request(vec![strict]), &[]),
            "invalid mount config for type \"bind\": bind source path does not exist: /not/there"
        );
        assert!(text(&request(vec![]), &["/etc:/host".to_owned()]).contains("is not a path"));
        assert!(text(&request(vec![]), &["../x".to_owned()]).contains("VOLUME of the image"));
    }

    #[test]
    fn a_missing_bind_source_is_made_for_v() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("new/dir");
        let paths = Paths::new(&dir.path().join("root"), &dir.path().join("run")).unwrap();
        let request = request(vec![v(&format!("{}:/x", source.display()))]);
        let (resolved, uses) = resolve(&request, vec![], &[], &paths).unwrap();
        make(&resolved, &uses, &paths).unwrap();
        assert!(source.is_dir());
    }
}
