use std::os::unix::net::UnixStream;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(future)
}

#[test]
fn a_half_closed_socket_still_carries_the_other_direction() {
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut a, mut b) = (FdStream::new(a.into()).unwrap(), FdStream::new(b.into()).unwrap());
        a.write_all(b"question").await.unwrap();
        a.shutdown().await.unwrap();
        let mut got = Vec::new();
        b.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"question");
        b.write_all(b"answer").await.unwrap();
        drop(b);
        got.clear();
        a.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"answer");
    });
}

#[test]
fn a_pipe_ends_when_its_last_writer_is_dropped_and_breaks_without_a_reader() {
    block_on(async {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (mut reader, mut writer) = (FdStream::new(reader).unwrap(), FdStream::new(writer).unwrap());
        writer.write_all(&[7; 100]).await.unwrap();
        drop(writer);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [7; 100]);

        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(reader);
        let error = FdStream::new(writer).unwrap().write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_terminal_gives_all_its_output_before_end_of_file() {
    block_on(async {
        let master =
            rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, rustix::pty::OpenptFlags::RDWR).unwrap();
        rustix::io::write(&slave, b"last words").unwrap();
        drop(slave);
        let mut got = Vec::new();
        FdStream::new(master).unwrap().read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"last words");
    });
}

#[test]
fn a_regular_file_is_refused() {
    block_on(async {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(FdStream::new(file.into()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    });
}
