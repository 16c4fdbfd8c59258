//! The journal of events: JSON lines in `<run>/events.json`, and the generation before it in `events.json.1`.
//!
//! An append is one write, and appenders need no lock against each other: the kernel orders writes at the end of a file. Only
//! who turns the generation takes one, and who does not get it at once leaves the turn to its holder. Both generations
//! are bounded, and the last [`KEPT`] events can always be read.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::Event;

/// In the run directory.
pub const FILE: &str = "events.json";
/// The generation before.
pub const OLDER: &str = "events.json.1";
/// Events that a reader finds at least, if there were so many: Docker's number.
pub const KEPT: usize = 256;
/// Bytes of one event; attributes that do not fit are left out, the longest first.
pub const LONGEST: usize = 16 << 10;
/// Bytes of a generation: as many as hold the events to be kept.
const GENERATION: u64 = (KEPT * LONGEST) as u64;

/// Appends to the journal of a run directory. What cannot be written is told on stderr and forgotten.
pub fn append(run_root: &Path, event: &Event) {
    if let Err(error) = try_append(run_root, event) {
        eprintln!("WARNING: cannot write the event {} {}: {error}", event.kind, event.action);
    }
}

fn try_append(run_root: &Path, event: &Event) -> io::Result<()> {
    let path = run_root.join(FILE);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))?);
    let size = file.metadata()?.len();
    let mut line = Vec::with_capacity(512);
    // A line that a full memory or a kill tore must not take this one with it. Empty lines say nothing.
    let mut last = [b'\n'];
    if size > 0 && file.read_exact_at(&mut last, size - 1).is_ok() && last != [b'\n'] {
        line.push(b'\n');
    }
    serialize(event, &mut line)?;
    line.push(b'\n');
    let written = rustix::io::write(&file, &line)?;
    if size + written as u64 > GENERATION {
        turn(&path, run_root, &file)?;
    }
    if written == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

fn serialize(event: &Event, line: &mut Vec<u8>) -> io::Result<()> {
    let start = line.len();
    serde_json::to_writer(&mut *line, event)?;
    if line.len() - start <= LONGEST {
        return Ok(());
    }
    let mut short = event.clone();
    while line.len() - start > LONGEST {
        let attributes = &mut short.actor.attributes;
        let longest = attributes.iter().max_by_key(|(name, value)| name.len() + value.len());
        let Some(longest) = longest.map(|(name, _)| name.clone()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        attributes.remove(&longest);
        line.truncate(start);
        serde_json::to_writer(&mut *line, &short)?;
    }
    Ok(())
}

/// Makes `file` the older generation, unless somebody has or does.
fn turn(path: &Path, run_root: &Path, file: &File) -> io::Result<()> {
    if rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(current) if (current.dev(), current.ino()) == (ours.dev(), ours.ino()) => {
            std::fs::rename(path, run_root.join(OLDER))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Both generations, older first.
pub fn files(run_root: &Path) -> [PathBuf; 2] {
    [run_root.join(OLDER), run_root.join(FILE)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(run_root: &Path) -> Vec<Event> {
        let mut events = Vec::new();
        for file in files(run_root) {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            events.extend(text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok()));
        }
        events
    }

    fn event(id: &str, filler: &str) -> Event {
        Event::volume("create", id, [("driver", filler)])
    }

    #[test]
    fn many_appenders_lose_and_tear_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let dir = dir.path();
                scope.spawn(move || {
                    for number in 0..200 {
                        append(dir, &event(&format!("{writer}-{number}"), "local"));
                    }
                });
            }
        });
        let events = read(dir.path());
        assert_eq!(events.len(), 1600);
        for writer in 0..8 {
            let own: Vec<String> = events
                .iter()
                .filter_map(|event| event.actor.id.strip_prefix(&format!("{writer}-")).map(str::to_owned))
                .collect();
            assert_eq!(own, (0..200).map(|number: u32| number.to_string()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn bounded_and_the_last_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let filler = "x".repeat(LONGEST - 300);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (dir, filler) = (dir.path(), &filler);
                scope.spawn(move || {
                    for number in 0..KEPT {
                        append(dir, &event(&format!("{writer}-{number}"), filler));
                    }
                });
            }
        });
        assert!(read(dir.path()).len() >= KEPT);
        for file in files(dir.path()) {
            let bytes = file.metadata().map_or(0, |metadata| metadata.len());
            assert!(bytes <= GENERATION + 8 * LONGEST as u64, "{bytes}");
        }
    }

    #[test]
    fn hostile_labels_and_torn_lines() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"Type\":\"conta").unwrap();
        let labels: BTreeMap<String, String> =
            [("a".to_owned(), "\n\"".to_owned()), ("b".to_owned(), "x".repeat(1 << 20))].into();
        let container = super::super::Container { id: "abc", name: "web", image: "alpine", labels: &labels };
        append(dir.path(), &Event::container("start", &container, []));
        append(&dir.path().join("missing"), &event("x", "y"));
        let events = read(dir.path());
        assert_eq!(events.len(), 1);
        let names: Vec<&str> = events[0].actor.attributes.keys().map(String::as_str).collect();
        assert_eq!(names, ["a", "image", "name"]);
    }
}
