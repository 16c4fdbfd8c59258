//! A pipe, socket or pseudo-terminal master as a tokio stream.
//!
//! One type for all three, because standard streams are all three and their users must not care. Clones
//! share the descriptor, so that two tasks can each use one direction; at most one task per direction.
//! Refuses what epoll refuses: regular files and directories.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::Shutdown;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module.
#[derive(Debug, Clone)]
pub struct FdStream {
    fd: Arc<AsyncFd<OwnedFd>>,
    socket: bool,
}

impl FdStream {
    /// Makes `fd` nonblocking and registers it with the current runtime.
    ///
    /// # Errors
    /// Of `fcntl`, `fstat` and `epoll_ctl`; `EPERM` for files that epoll does not take.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        if !flags.contains(OFlags::NONBLOCK) {
            rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        }
        let socket = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::Socket;
        // SAFETY: an `OwnedFd` keeps its descriptor open until it is dropped, and `self.fd` never gives it out
        // for replacement.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Self { fd: Arc::new(fd), socket })
    }

    /// Waits until a connection that was started nonblocking is made.
    ///
    /// # Errors
    /// What `connect` would have returned.
    pub async fn connected(&self) -> io::Result<()> {
        loop {
            let mut guard = self.fd.writable().await?;
            // A readiness of before `connect` is stale: only the socket itself knows.
            if let Err(error) = rustix::net::sockopt::socket_error(&self.fd)? {
                return Err(error.into());
            }
            match rustix::net::getpeername(&self.fd) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) | Err(Errno::NOTCONN) => guard.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for FdStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

impl AsRawFd for FdStream {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsyncRead for FdStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            let unfilled = buf.initialize_unfilled();
            match guard.try_io(|fd| Ok(rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *unfilled))?)) {
                Ok(Ok(n)) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                // The last slave of a pseudo-terminal was closed: its way of saying end of file.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for FdStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_write_ready(cx))?;
            let written = guard.try_io(|fd| {
                Ok(rustix::io::retry_on_intr(|| {
                    if self.socket {
                        rustix::net::send(fd, buf, rustix::net::SendFlags::NOSIGNAL)
                    } else {
                        rustix::io::write(fd, buf)
                    }
                })?)
            });
            match written {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Half-closes a socket. A pipe's end of file is its drop; a terminal has none.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.socket {
            match rustix::net::shutdown(&self.fd, Shutdown::Write) {
                Ok(()) | Err(Errno::NOTCONN) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
