//! The files of a running container, through its supervisor.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use sandbox_container::archive::{Archive, ArchiveError};
use sandbox_shim::client::{self, Event};
use sandbox_shim::wire::{Notice, Request};

use crate::archive::Supervisor;
use crate::error::{Error, Result};
use crate::id;
use crate::live;

/// Bytes of input read at a time.
const CHUNK: usize = 64 << 10;
/// The longest report of a failure, bytes.
const MAX_REPORT: usize = 64 << 10;

/// How a copy ended.
#[derive(Debug, Default)]
struct Answer {
    report: Vec<u8>,
    end: Option<Result<u8, String>>,
}

impl Answer {
    /// Reads all that the supervisor says, and writes out what is output.
    fn read(receiver: &mut client::Receiver, output: &mut dyn Write) -> Result<Answer, ArchiveError> {
        let mut answer = Answer::default();
        while answer.end.is_none() {
            let event = receiver.receive().map_err(|e| ArchiveError::Failed(e.to_string()))?;
            match event {
                None => break,
                Some(Event::Stdout(bytes)) => output.write_all(bytes).map_err(|_| ArchiveError::Closed)?,
                Some(Event::Stderr(bytes)) => {
                    let room = MAX_REPORT.saturating_sub(answer.report.len());
                    answer.report.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                Some(Event::Notice(Notice::Exited(exit))) => answer.end = Some(Ok(exit.code)),
                Some(Event::Notice(Notice::StartFailed { message, .. } | Notice::Failed { message, .. })) => {
                    answer.end = Some(Err(message));
                }
                Some(Event::Notice(_)) => {}
            }
        }
        Ok(answer)
    }

    fn verdict(self) -> Result<(), ArchiveError> {
        match self.end {
            Some(Ok(0)) => Ok(()),
            Some(Ok(_)) => Err(ArchiveError::of_report(&self.report)),
            Some(Err(message)) => Err(ArchiveError::Failed(message)),
            None => Err(ArchiveError::Failed("the container ended during the copy".to_owned())),
        }
    }
}

/// Sends all of `input`, as far as it is taken.
fn send(input: &mut dyn Read, sender: &client::Sender) -> Result<(), ArchiveError> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            // Whoever takes it has ended early, and says why.
            Ok(count) if sender.stdin(&buffer[..count]).is_err() => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ArchiveError::Failed(format!("read the archive: {e}"))),
        }
    }
    let _ = sender.close_stdin();
    Ok(())
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: String,
    pub(crate) run_dir: PathBuf,
}

impl Link {
    fn connect(&self) -> Result<std::os::unix::net::UnixStream> {
        live::connect(&self.run_dir).map_err(|_| Error::NotRunning(self.id.clone()))
    }

    fn tell(&self, request: &Request) -> Result<()> {
        let mut conversation = live::Conversation::open(self.connect()?, request)?;
        conversation.next()?.map(drop).ok_or_else(|| Error::NotRunning(self.id.clone()))
    }
}

impl Supervisor for Link {
    fn archive(
        &self,
        request: &Archive,
        input: Option<&mut dyn Read>,
        output: &mut dyn Write,
    ) -> Result<(), ArchiveError> {
        let failed = |what: &dyn std::fmt::Display| ArchiveError::Failed(what.to_string());
        let id = id::generate().map_err(|e| failed(&e))?;
        let connection = self.connect().map_err(|e| failed(&e))?;
        let (sender, mut receiver) = client::connect(connection).map_err(|e| failed(&e))?;
        let archive = Request::Archive { id, archive: request.clone() };
        sender.request(&archive).map_err(|e| failed(&e))?;
        let Some(input) = input else {
            // It may have ended by now, which is told.
            let _ = sender.close_stdin();
            return Answer::read(&mut receiver, output)?.verdict();
        };
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || Answer::read(&mut receiver, &mut std::io::sink()));
            let sent = send(input, &sender);
            // One that failed to read its input says so better than the one that failed to take it.
            let answer = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            answer?.verdict().and(sent)
        })
    }

    fn root(&self) -> Result<OwnedFd> {
        let mut connection = self.connect()?;
        let root = client::request_fd(&mut connection, &Request::Root)
            .map_err(|e| Error::invalid(format!("ask for the root file system: {e}")))?;
        root.map_err(Error::Invalid)
    }

    fn sync(&self) -> Result<()> {
        self.tell(&Request::Sync)
    }

    fn pause(&self) -> Result<bool> {
        match self.tell(&Request::Pause) {
            Ok(()) => Ok(true),
            // It stands still already, which is all that is wanted.
            Err(Error::Invalid(text)) if text.contains("already paused") => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn unpause(&self) -> Result<()> {
        self.tell(&Request::Resume)
    }
}
