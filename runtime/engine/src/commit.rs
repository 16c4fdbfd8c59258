//! `commit`: an image from a container's changes.

use std::io::{PipeReader, Read};
use std::sync::mpsc::{Receiver, channel};

use rustix::fs::{Mode, OFlags};
use sandbox_container::archive::{ArchiveError, pack_layer};
use sandbox_image::{Change, CommitOptions, Digest, Image, Reference};
use sandbox_shim::plan::Plan;
use serde_json::{Map, Value, json};

use crate::archive::{Hold, Supervisor};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::image::Defaults;
use crate::request::Request;
use crate::spec::arguments;

/// How to make the image.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    pub name: Option<Reference>,
    pub author: String,
    pub message: String,
    pub changes: Vec<Change>,
    /// Freeze a running container meanwhile.
    pub pause: bool,
}

impl Engine {
    /// Makes an image of the container that `request` asked for and `plan` starts, whose image is `parent`. Gives its id.
    pub fn commit_of(
        &self,
        request: &Request,
        plan: &Plan,
        parent: &Image,
        hold: &Hold,
        commit: &Commit,
    ) -> Result<Digest> {
        // In this order: a microVM that stands still writes nothing back any more.
        hold.sync()?;
        let _frozen = match hold {
            Hold::Running(supervisor) if commit.pause => Some(Frozen::freeze(&**supervisor)?),
            _ => None,
        };
        let upper = &plan.rootfs.upper;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = rustix::fs::open(upper, flags, Mode::empty()).map_err(Error::io("open", upper))?;
        let defaults = Defaults::from(parent);
        let options = CommitOptions {
            name: commit.name.clone(),
            config: config(parent, &defaults, request)?,
            changes: commit.changes.clone(),
            author: commit.author.clone(),
            message: commit.message.clone(),
            created_by: arguments::arguments(&request.process, &defaults)?.join(" "),
            ..CommitOptions::default()
        };
        let (reader, writer) = std::io::pipe().map_err(Error::system("make a pipe"))?;
        let (tell, result) = channel();
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("layer".to_owned())
                .spawn_scoped(scope, move || {
                    let packed = pack_layer(std::os::fd::AsFd::as_fd(&upper), &writer).map(drop);
                    // Before the end of the pipe, so that the reader never takes a part for the whole.
                    let _ = tell.send(packed);
                    drop(writer);
                })
                .map_err(Error::system("start a thread"))?;
            let mut layer = Layer { reader, result };
            Ok(self.store()?.commit(&self.connection, parent, &mut layer, &options)?.id)
        })
    }
}

/// The layer's tar; a failure of its writer is its reader's.
struct Layer {
    reader: PipeReader,
    result: Receiver<Result<(), ArchiveError>>,
}

impl Read for Layer {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.reader.read(buffer)? {
            0 if !buffer.is_empty() => match self.result.try_recv() {
                Ok(Err(error)) => {
                    Err(std::io::Error::other(format!("pack the container's changes: {error}")))
                }
                // Told once; at the second end of file there is nothing more to hear.
                _ => Ok(0),
            },
            count => Ok(count),
        }
    }
}

/// A container that goes on when this is dropped.
struct Frozen<'a>(Option<&'a dyn Supervisor>);

impl<'a> Frozen<'a> {
    /// One that was frozen before stays so.
    fn freeze(supervisor: &'a dyn Supervisor) -> Result<Self> {
        Ok(Frozen(supervisor.pause()?.then_some(supervisor)))
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Some(supervisor) = self.0 {
            // The image is made or not; a container that ended meanwhile needs no thawing.
            let _ = supervisor.unpause();
        }
    }
}

/// The image's `config` with what the container was asked for.
fn config(parent: &Image, image: &Defaults, request: &Request) -> Result<Map<String, Value>> {
    let raw: Value = serde_json::from_slice(&parent.raw_config)
        .map_err(|source| Error::Json { what: format!("image config {}", parent.id), source })?;
    let mut config = match raw.get("config") {
        Some(Value::Object(config)) => config.clone(),
        _ => Map::new(),
    };
    let process = &request.process;
    let mut set = |member: &str, value: Value| drop(config.insert(member.to_owned(), value));
    let entrypoint: Option<Vec<&str>> = process
        .entrypoint
        .as_deref()
        .map(|word| [word].into_iter().filter(|word| !word.is_empty()).collect());
    if let Some(entrypoint) = &entrypoint {
        set("Entrypoint", json!(entrypoint));
    }
    if entrypoint.is_some() || !process.command.is_empty() {
        set("Cmd", json!(process.command));
    }
    if let Some(user) = &process.user {
        set("User", json!(user));
    }
    if let Some(directory) = &process.working_dir {
        set("WorkingDir", json!(directory));
    }
    if !process.env.is_empty() {
        set("Env", json!(environment(&image.env, &process.env)));
    }
    if !request.labels.is_empty() {
        let mut labels: Map<String, Value> =
            image.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        labels.extend(request.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
        set("Labels", labels.into());
    }
    Ok(config)
}

/// `KEY=VALUE` replaces the image's, `KEY` takes it out.
fn environment(image: &[String], request: &[String]) -> Vec<String> {
    let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let mut environment = image.to_vec();
    for entry in request {
        let at = environment.iter().position(|known| key(known) == key(entry));
        match (at, entry.contains('=')) {
            (Some(at), true) => {
                if let Some(known) = environment.get_mut(at) {
                    known.clone_from(entry);
                }
            }
            (Some(at), false) => drop(environment.remove(at)),
            (None, true) => environment.push(entry.clone()),
            (None, false) => {}
        }
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_merge() {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let merged = environment(&own(&["PATH=/bin", "A=1", "B=2"]), &own(&["A=x=y", "B", "C=3", "D"]));
        assert_eq!(merged, ["PATH=/bin", "A=x=y", "C=3"]);
    }

    #[test]
    fn a_layer_that_broke_off_is_no_end() {
        use std::io::Write;
        for (packed, whole) in [(Ok(()), true), (Err(ArchiveError::ReadOnlyRoot), false)] {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let (tell, result) = channel();
            writer.write_all(b"part").unwrap();
            tell.send(packed).unwrap();
            drop(writer);
            let mut read = Vec::new();
            assert_eq!(Layer { reader, result }.read_to_end(&mut read).is_ok(), whole);
            assert_eq!(read, b"part");
        }
    }

    #[test]
    fn a_frozen_container_goes_on() {
        use std::cell::RefCell;
        #[derive(Default)]
        struct Fake {
            was_paused: bool,
            calls: RefCell<Vec<&'static str>>,
        }
        impl Supervisor for Fake {
            fn archive(
                &self,
                _: &sandbox_container::archive::Archive,
                _: Option<&mut dyn Read>,
                _: &mut dyn std::io::Write,
            ) -> Result<(), ArchiveError> {
                Err(ArchiveError::Closed)
            }
            fn root(&self) -> Result<std::os::fd::OwnedFd> {
                Err(Error::invalid("a fake"))
            }
            fn sync(&self) -> Result<()> {
                Ok(())
            }
            fn pause(&self) -> Result<bool> {
                self.calls.borrow_mut().push("pause");
                Ok(!self.was_paused)
            }
            fn unpause(&self) -> Result<()> {
                self.calls.borrow_mut().push("unpause");
                Ok(())
            }
        }
        for (was_paused, calls) in [(false, &["pause", "unpause"][..]), (true, &["pause"])] {
            let fake = Fake { was_paused, ..Fake::default() };
            drop(Frozen::freeze(&fake).unwrap());
            assert_eq!(*fake.calls.borrow(), calls);
        }
    }
}
