//! `sandbox cp`: one side is the container's files, the other this machine's or a stream.
//!
//! What comes from a container is unpacked into the destination's directory and nowhere else, whatever the archive
//! says: only what was asked for is taken from it, links in it are never followed, and it gets no rights here.

mod local;
mod paths;

use std::io::{Read, Write};
use std::os::fd::AsFd;

use sandbox_engine::Files;
use sandbox_engine::archive::{ArchiveError, Owner, Rename, Unpack, base_name, pack, unpack};

use self::paths::{Side, Target};
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::files::CpFlags;
use crate::format::size;
use crate::interrupt::Interrupt;

pub(in crate::commands) fn run(global: &Global, flags: &CpFlags) -> Result<u8, Failure> {
    let sides = (Side::parse(&flags.source), Side::parse(&flags.destination));
    for (what, text) in [("source", &flags.source), ("destination", &flags.destination)] {
        if text.is_empty() {
            return Err(Failure::plain(format!("{what} can not be empty")));
        }
    }
    let container = match sides {
        (Side::Container { .. }, Side::Container { .. }) => {
            return Err(Failure::plain("copying between containers is not supported"));
        }
        (Side::Local(_), Side::Local(_)) => {
            return Err(Failure::plain("must specify at least one container source"));
        }
        (Side::Container { name, .. }, _) | (_, Side::Container { name, .. }) => name,
    };
    let _interrupt = Interrupt::watch()?;
    let files = crate::commands::engine(global)?.files(container)?;
    let copied = match sides {
        (Side::Container { path, .. }, Side::Local(to)) => {
            from_container(&files, container, path, to, flags)?
        }
        (Side::Local(from), Side::Container { path, .. }) => {
            to_container(&files, container, from, path, flags)?
        }
        _ => None,
    };
    let quiet = flags.quiet.unwrap_or_else(|| !rustix::termios::isatty(rustix::stdio::stdout()));
    if let Some((bytes, to)) = copied.filter(|_| !quiet) {
        eprintln!("Successfully copied {} to {}", size::decimal(bytes, 3), printable(&to));
    }
    Ok(0)
}

/// A path that a link of the container may have given.
fn printable(path: &str) -> String {
    path.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// How much was copied, and where to; nothing is said of a stream.
type Copied = Option<(u64, String)>;

/// An error of the container's side, in Docker's words where it has them.
fn refused(container: &str, error: ArchiveError) -> Failure {
    match error {
        ArchiveError::Missing { path } => {
            Failure::engine(format!("Could not find the file {path} in container {container}"))
        }
        error => Failure::engine(error),
    }
}

fn from_container(
    files: &Files,
    container: &str,
    path: &str,
    to: &str,
    flags: &CpFlags,
) -> Result<Copied, Failure> {
    let failed = |error| refused(container, error);
    if to == "-" {
        let out = rustix::stdio::stdout().try_clone_to_owned();
        let out = out.map_err(|error| Failure::plain(format!("standard output: {error}")))?;
        return match files.pack(path, flags.follow_link, &mut std::fs::File::from(out)) {
            // A reader that has seen enough is no error.
            Ok(()) | Err(ArchiveError::Closed) => Ok(None),
            Err(error) => Err(failed(error)),
        };
    }
    let shown = paths::absolute(to).map_err(Failure::plain)?;
    local::check_output(&shown).map_err(Failure::plain)?;
    let mut found = files.stat(path).map_err(failed)?;
    // A loop leads nowhere, and the copy itself says so.
    if found.is_symlink() && flags.follow_link && !found.link_target.is_empty() {
        found = files.stat(&found.link_target).map_err(failed)?;
    }
    let target = local::target(&shown).map_err(Failure::plain)?;
    let placed = paths::place(found.is_directory(), &target).map_err(Failure::plain)?;
    let directory = local::open_directory(&placed.directory).map_err(Failure::plain)?;
    let base = base_name(path);
    // Whatever the container's side sends, it is taken for what was asked for only.
    let all = matches!(base.as_str(), "." | "/");
    let name = placed.name.or_else(|| (!all).then(|| base.clone()));
    let options = Unpack {
        no_overwrite_dir_non_dir: true,
        owner: if flags.archive { Owner::Archive } else { Owner::Caller },
        guard: true,
        rename: name.map(|to| Rename { from: base, to }),
    };
    let (mut reader, mut writer) = pipe()?;
    let (packed, unpacked) = std::thread::scope(|scope| {
        let unpacking = scope.spawn(move || {
            let result = unpack(directory.as_fd(), "/", &mut reader, &options);
            // The writer may still have the rest of its last block to write.
            if result.is_ok() {
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
            }
            result
        });
        let packed = files.pack(path, flags.follow_link, &mut writer);
        drop(writer);
        (packed, unpacking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    match (packed, unpacked) {
        (Ok(()) | Err(ArchiveError::Closed), Ok(bytes)) => Ok(Some((bytes, shown))),
        (Ok(()) | Err(ArchiveError::Closed), Err(error)) => Err(Failure::plain(error)),
        (Err(error), _) => Err(failed(error)),
    }
}

fn to_container(
    files: &Files,
    container: &str,
    from: &str,
    path: &str,
    flags: &CpFlags,
) -> Result<Copied, Failure> {
    let failed = |error| refused(container, error);
    let mut target = Target { path: path.to_owned(), exists: false, is_directory: false };
    let mut found = files.stat(path);
    if let Ok(link) = &found
        && link.is_symlink()
        && !link.link_target.is_empty()
    {
        target.path.clone_from(&link.link_target);
        found = files.stat(&target.path);
    }
    // That it is not there may be as it should; the copy will tell.
    if let Ok(found) = &found {
        if let Some(what) = found.special() {
            return Err(Failure::plain(format!(
                "destination \"{container}:{path}\" must be a directory or a regular file: got {what}"
            )));
        }
        (target.exists, target.is_directory) = (true, found.is_directory());
    }
    let owner = match files.user() {
        user if flags.archive && !user.is_empty() => Owner::User(user.to_owned()),
        _ => Owner::Archive,
    };
    let mut options = Unpack { no_overwrite_dir_non_dir: true, owner, ..Unpack::default() };
    if from == "-" {
        if !target.is_directory {
            return Err(Failure::plain(format!("destination \"{container}:{path}\" must be a directory")));
        }
        files.unpack(&target.path, &mut std::io::stdin().lock(), &options).map_err(failed)?;
        return Ok(None);
    }
    let from = paths::absolute(from).map_err(Failure::plain)?;
    let root = local::open_directory("/").map_err(Failure::plain)?;
    let is_directory = local::is_directory(&root, &from, flags.follow_link).map_err(Failure::plain)?;
    let placed = paths::place(is_directory, &target).map_err(Failure::plain)?;
    options.rename = placed.name.map(|to| Rename { from: base_name(&from), to });
    let (mut reader, mut writer) = pipe()?;
    let (packed, unpacked) = std::thread::scope(|scope| {
        let packing = scope.spawn(move || pack(root.as_fd(), &from, flags.follow_link, &mut writer));
        let unpacked = files.unpack(&placed.directory, &mut reader, &options);
        if unpacked.is_ok() {
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        }
        drop(reader);
        (packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), unpacked)
    });
    match (packed, unpacked) {
        (Ok(bytes), Ok(())) => Ok(Some((bytes, format!("{container}:{}", target.path)))),
        (Ok(_) | Err(ArchiveError::Closed), Err(error)) => Err(failed(error)),
        (Err(error), _) => Err(Failure::plain(error)),
    }
}

fn pipe() -> Result<(impl Read + Send, impl Write + Send), Failure> {
    std::io::pipe().map_err(|error| Failure::plain(format!("make a pipe: {error}")))
}
