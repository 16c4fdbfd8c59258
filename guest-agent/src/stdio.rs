//! The standard streams of a process: pipes or a terminal here, one connection to the host for each stream.
//!
//! Half-close goes both ways: end of file on a connection closes the process's stdin; end of file of
//! the process's output shuts the connection down once every byte is sent. The buffer of a stream is fixed,
//! so a side that does not read stops the side that writes.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox_container::Stdio as CoreStdio;
use sandbox_protocol::{FdStream, STREAM_PORT, Stdio, StreamHeader, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use crate::vsock;

/// Bytes that one direction of one stream holds.
const BUFFER: usize = 64 << 10;
/// How long a finished stream waits for the host to close its end.
const LINGER: Duration = Duration::from_secs(30);

/// Our ends of the streams of a process that is being made.
#[derive(Debug)]
pub(crate) struct Prepared {
    terminal: Option<OwnedFd>,
    stdin: Option<(OwnedFd, OwnedFd)>,
    outputs: Vec<(OwnedFd, OwnedFd)>,
    tokens: Stdio,
}

/// Makes the pipes and starts to connect to the host; the first part is for the container core.
///
/// # Errors
/// Of `pipe`, of opening `/dev/null` and of connecting.
pub(crate) fn prepare(tokens: Stdio) -> io::Result<(CoreStdio, Prepared)> {
    if tokens.terminal {
        let clamp = |size: u32| u16::try_from(size).unwrap_or(u16::MAX);
        let core = CoreStdio::Terminal { rows: clamp(tokens.rows), cols: clamp(tokens.cols) };
        let connection = vsock::connect(STREAM_PORT)?;
        return Ok((core, Prepared { terminal: Some(connection), stdin: None, outputs: Vec::new(), tokens }));
    }
    let mut ours = Prepared { terminal: None, stdin: None, outputs: Vec::new(), tokens };
    let stdin = if ours.tokens.stdin.is_empty() {
        None
    } else {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        ours.stdin = Some((vsock::connect(STREAM_PORT)?, writer));
        Some(reader)
    };
    let mut output = |token: &[u8]| -> io::Result<OwnedFd> {
        if token.is_empty() {
            return Ok(rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?);
        }
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        ours.outputs.push((reader, vsock::connect(STREAM_PORT)?));
        Ok(writer)
    };
    let stdout = output(&ours.tokens.stdout)?;
    let stderr = output(&ours.tokens.stderr)?;
    Ok((CoreStdio::Pipes { stdin, stdout, stderr }, ours))
}

/// A terminal in use.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) master: FdStream,
    /// Keeps the terminal from reporting its end while the process lives and merely has it closed.
    _slave: Option<OwnedFd>,
}

impl Prepared {
    /// Starts to move bytes. `master` is the process's terminal, if it has one.
    ///
    /// # Errors
    /// Of registering the descriptors with the event loop.
    pub(crate) fn run(self, master: Option<OwnedFd>) -> io::Result<Option<Terminal>> {
        let Stdio { stdin, stdout, stderr, .. } = self.tokens;
        if let (Some(connection), Some(master)) = (self.terminal, master) {
            let slave = rustix::pty::ioctl_tiocgptpeer(
                &master,
                rustix::pty::OpenptFlags::RDWR
                    | rustix::pty::OpenptFlags::NOCTTY
                    | rustix::pty::OpenptFlags::CLOEXEC,
            )
            .ok();
            let (connection, master) = (FdStream::new(connection)?, FdStream::new(master)?);
            tokio::task::spawn_local(terminal(master.clone(), connection, stdout));
            return Ok(Some(Terminal { master, _slave: slave }));
        }
        if let Some((connection, pipe)) = self.stdin {
            tokio::task::spawn_local(input(FdStream::new(connection)?, FdStream::new(pipe)?, stdin));
        }
        let tokens = [stdout, stderr].into_iter().filter(|token| !token.is_empty());
        for ((pipe, connection), token) in self.outputs.into_iter().zip(tokens) {
            tokio::task::spawn_local(output(FdStream::new(pipe)?, FdStream::new(connection)?, token));
        }
        Ok(None)
    }
}

async fn introduce(connection: &mut FdStream, token: Vec<u8>) -> io::Result<()> {
    connection.connected().await?;
    frame::write(connection, &StreamHeader { token }).await.map_err(io::Error::other)
}

/// Host to process, until either closes. Failures have nobody to be told to: the stream just ends.
async fn input(mut connection: FdStream, mut pipe: FdStream, token: Vec<u8>) {
    if introduce(&mut connection, token).await.is_ok() {
        let _ = copy(&mut connection, &mut pipe).await;
    }
}

/// Process to host, every byte of it.
async fn output(mut pipe: FdStream, mut connection: FdStream, token: Vec<u8>) {
    if introduce(&mut connection, token).await.is_ok() && copy(&mut pipe, &mut connection).await.is_ok() {
        finish(&mut connection).await;
    }
}

/// Both directions of a terminal; its end is the process's.
async fn terminal(master: FdStream, mut connection: FdStream, token: Vec<u8>) {
    if introduce(&mut connection, token).await.is_err() {
        return;
    }
    let (mut keys, mut from) = (master.clone(), connection.clone());
    let input = tokio::task::spawn_local(async move { copy(&mut from, &mut keys).await });
    let mut screen = master;
    if copy(&mut screen, &mut connection).await.is_ok() {
        input.abort();
        finish(&mut connection).await;
    }
    input.abort();
}

async fn copy(from: &mut FdStream, to: &mut FdStream) -> io::Result<u64> {
    tokio::io::copy_buf(&mut BufReader::with_capacity(BUFFER, from), to).await
}

/// Half-closes and waits until the host, having read everything, closes too: a connection that is closed
/// on this side first may take bytes in flight with it.
async fn finish(connection: &mut FdStream) {
    if connection.shutdown().await.is_ok() {
        let mut rest = [0; 512];
        let closed = async { while matches!(connection.read(&mut rest).await, Ok(n) if n > 0) {} };
        let _ = tokio::time::timeout(LINGER, closed).await;
    }
}
