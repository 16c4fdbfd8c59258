//! Reading files that somebody else writes and rotates: containers' logs, and the journal of events.
//!
//! A reader keeps its place by the open file. When it is at the end of one that has another name by now, it goes on with the
//! file that came after; so no line is doubled, and none is lost unless the writer removes files faster than they are read.

mod chain;
mod lines;
mod tail;
mod watch;

#[cfg(test)]
mod tests;

use std::io::{BufReader, ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flate2::bufread::GzDecoder;

use self::chain::Link;
use self::lines::Lines;
use self::watch::{Watch, Woken};
use crate::error::{Error, Result};

/// How far the clock of a file's modification may be behind that of a line in it.
const CLOCK_TICK_NS: i64 = 1_000_000_000;

/// What to read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    /// Files that were last written before are left out.
    pub(crate) since_ns: Option<i64>,
    /// The last so many lines of what is there.
    pub(crate) tail: Option<u64>,
    /// Wait for more at the end.
    pub(crate) follow: bool,
    /// Until then.
    pub(crate) until_ns: Option<i64>,
}

/// How a reader that follows learns that nothing more will be written.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// Asked whenever something changed.
    pub ended: &'a dyn Fn() -> bool,
    /// Readable or hung up from the end on.
    pub signal: Option<BorrowedFd<'a>>,
}

impl std::fmt::Debug for End<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End").field("signal", &self.signal).finish_non_exhaustive()
    }
}

/// Who takes the lines; either may end the reading.
pub(crate) trait Sink {
    fn line(&mut self, line: &[u8]) -> ControlFlow<()>;
    /// Nothing more is there for now; said while following only.
    fn idle(&mut self) -> ControlFlow<()>;
}

/// Gives the lines of `path` and the older files beside it to `sink`.
pub(crate) fn read(path: &Path, range: Range, end: End<'_>, sink: &mut dyn Sink) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    let watch = range.follow.then(|| Watch::new(dir)).transpose()?;
    let mut reader = Reader { path, sink, lines: Lines::default(), place: None };
    match (reader.history(range)?, &watch) {
        (ControlFlow::Continue(()), Some(watch)) => reader.follow(watch, range.until_ns, end),
        _ => Ok(()),
    }
}

struct Reader<'a> {
    path: &'a Path,
    sink: &'a mut dyn Sink,
    lines: Lines,
    /// The newest file that was read. It stays open, so that it is known again.
    place: Option<Link>,
}

impl Reader<'_> {
    /// What is there.
    fn history(&mut self, range: Range) -> Result<ControlFlow<()>> {
        let failed = || Error::io("read", self.path);
        let mut chain = chain::open(self.path).map_err(failed())?;
        let mut skip = 0;
        if let Some(count) = range.tail {
            skip = tail::seek(&mut chain, count).map_err(failed())?;
        }
        if let Some(since) = range.since_ns {
            let before = chain.len();
            chain.retain(|link| link.is_current() || link.modified_ns.saturating_add(CLOCK_TICK_NS) >= since);
            // Old ones are the first of a chain.
            skip = if chain.len() == before { skip } else { 0 };
        }
        self.through(chain, skip)
    }

    /// Reads the links to their ends, and stays at the last.
    fn through(&mut self, chain: Vec<Link>, mut skip: u64) -> Result<ControlFlow<()>> {
        for link in chain {
            self.lines.clear();
            let flow = if link.is_compressed() {
                self.pass(&mut GzDecoder::new(BufReader::new(&link.file)), &mut skip)?
            } else {
                self.pass(&mut &link.file, &mut skip)?
            };
            self.place = Some(link);
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn pass(&mut self, from: &mut dyn Read, skip: &mut u64) -> Result<ControlFlow<()>> {
        loop {
            match self.lines.next(from) {
                Ok(Some(_)) if *skip > 0 => *skip -= 1,
                Ok(Some(line)) => {
                    if self.sink.line(line).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(None) => return Ok(ControlFlow::Continue(())),
                // A compressed file that a loss of power damaged has no more to say.
                Err(error) if is_damage(&error) => return Ok(ControlFlow::Continue(())),
                Err(error) => return Err(Error::io("read", self.path)(error)),
            }
        }
    }

    /// Reads the file we are at to its end.
    fn drain(&mut self) -> Result<ControlFlow<()>> {
        let Some(place) = self.place.take_if(|place| !place.is_compressed()) else {
            return Ok(ControlFlow::Continue(()));
        };
        let flow = self.pass(&mut &place.file, &mut 0)?;
        self.place = Some(place);
        Ok(flow)
    }

    fn follow(&mut self, watch: &Watch, until_ns: Option<i64>, end: End<'_>) -> Result<()> {
        let mut over = false;
        loop {
            // Asked before the last look, so that everything written before the end is seen.
            over = over || (end.ended)();
            while let Some(chain) = self.newer()? {
                // Whoever rotates has written his last to the old file.
                if self.drain()?.is_break() || self.through(chain, 0)?.is_break() {
                    return Ok(());
                }
            }
            if self.drain()?.is_break() || self.sink.idle().is_break() || over {
                return Ok(());
            }
            self.let_go()?;
            match watch.wait(end.signal, until_ns)? {
                Woken::Changed => {}
                Woken::Ended => over = true,
                Woken::TimeIsUp => return Ok(()),
            }
        }
    }

    /// Closes a file that was removed with all others: while it is open nobody is told that the directory went as well.
    fn let_go(&mut self) -> Result<()> {
        let failed = || Error::io("read", self.path);
        if let Some(place) = &self.place
            && place.file.metadata().map_err(failed())?.nlink() == 0
            && !chain::exists(self.path).map_err(failed())?
        {
            self.place = None;
        }
        Ok(())
    }

    /// The files after ours.
    fn newer(&self) -> Result<Option<Vec<Link>>> {
        let ours = self.place.as_ref();
        match std::fs::symlink_metadata(self.path) {
            Ok(metadata) if ours.is_some_and(|ours| ours.has_inode(metadata.ino())) => return Ok(None),
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(Error::io("stat", self.path)(error));
            }
            // Without a current file this is the middle of a rotation, or the end of a writer.
            _ => {}
        }
        let mut chain = chain::open(self.path).map_err(Error::io("read", self.path))?;
        if let Some(index) = chain.iter().rposition(|link| ours.is_some_and(|ours| link.continues(ours))) {
            chain.drain(..=index);
        }
        Ok((!chain.is_empty()).then_some(chain))
    }
}

fn is_damage(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}
