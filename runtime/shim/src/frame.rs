//! Reading and writing the frames of [`crate::wire`], blocking (clients) and async (the supervisor).
//!
//! The length is the peer's word: it is compared with the limit before anything is allocated.

use std::io::{self, Read, Write};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::wire::{HEADER, MAX_FRAME};

/// Why a frame could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes is above the limit of {MAX_FRAME}")]
    TooLong(usize),
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a frame does not parse: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("more stdin than the window allows")]
    Window,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The header of a frame with `length` bytes of payload.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn header(kind: u8, length: usize) -> Result<[u8; HEADER], FrameError> {
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let [a, b, c, d] = (length as u32).to_le_bytes();
    Ok([kind, a, b, c, d])
}

fn parse([kind, a, b, c, d]: [u8; HEADER]) -> Result<(u8, usize), FrameError> {
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAX_FRAME { Err(FrameError::TooLong(length)) } else { Ok((kind, length)) }
}

fn truncated(error: io::Error) -> FrameError {
    if error.kind() == io::ErrorKind::UnexpectedEof { FrameError::Truncated } else { error.into() }
}

/// Receives one frame: its kind, and its payload in `payload`. `None` at an end of file between two frames.
///
/// Not cancel safe.
///
/// # Errors
/// [`FrameError::TooLong`], [`FrameError::Truncated`], [`FrameError::Io`].
pub async fn read<R: AsyncRead + Unpin>(
    from: &mut R,
    payload: &mut Vec<u8>,
) -> Result<Option<u8>, FrameError> {
    let mut head = [0; HEADER];
    if from.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..]).await.map_err(truncated)?;
    let (kind, length) = parse(head)?;
    payload.resize(length, 0);
    from.read_exact(payload).await.map_err(truncated)?;
    Ok(Some(kind))
}

/// Sends one frame.
///
/// # Errors
/// [`FrameError::TooLong`], [`FrameError::Io`].
pub async fn write<W: AsyncWrite + Unpin>(to: &mut W, kind: u8, payload: &[u8]) -> Result<(), FrameError> {
    let frame = [&header(kind, payload.len())?, payload].concat();
    to.write_all(&frame).await?;
    Ok(())
}

/// [`read`], blocking.
///
/// # Errors
/// As [`read`].
pub fn read_blocking(from: &mut impl Read, payload: &mut Vec<u8>) -> Result<Option<u8>, FrameError> {
    let mut head = [0; HEADER];
    loop {
        match from.read(&mut head[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    from.read_exact(&mut head[1..]).map_err(truncated)?;
    let (kind, length) = parse(head)?;
    payload.resize(length, 0);
    from.read_exact(payload).map_err(truncated)?;
    Ok(Some(kind))
}

/// [`write`], blocking.
///
/// # Errors
/// As [`write`].
pub fn write_blocking(to: &mut impl Write, kind: u8, payload: &[u8]) -> Result<(), FrameError> {
    let frame = [&header(kind, payload.len())?, payload].concat();
    to.write_all(&frame)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{STDIN, STDOUT};

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn both_codecs_speak_the_same_frames() {
        let mut wire = Vec::new();
        block_on(write(&mut wire, STDOUT, b"hello")).unwrap();
        write_blocking(&mut wire, STDIN, b"").unwrap();
        let mut payload = Vec::new();
        let (mut a, mut b) = (wire.as_slice(), wire.as_slice());
        for (kind, text) in [(Some(STDOUT), b"hello".as_slice()), (Some(STDIN), b""), (None, b"")] {
            assert_eq!(block_on(read(&mut a, &mut payload)).unwrap(), kind);
            assert_eq!(payload, text);
            assert_eq!(read_blocking(&mut b, &mut payload).unwrap(), kind);
            assert_eq!(payload, text);
        }
    }

    #[test]
    fn a_cut_frame_is_an_error() {
        let mut wire = Vec::new();
        write_blocking(&mut wire, STDOUT, b"hello").unwrap();
        for cut in 1..wire.len() {
            let mut payload = Vec::new();
            assert!(matches!(block_on(read(&mut &wire[..cut], &mut payload)), Err(FrameError::Truncated)));
            assert!(matches!(read_blocking(&mut &wire[..cut], &mut payload), Err(FrameError::Truncated)));
        }
    }

    #[test]
    fn a_hostile_length_allocates_nothing() {
        let wire = [STDIN, 0xff, 0xff, 0xff, 0xff];
        let mut payload = Vec::new();
        assert!(matches!(block_on(read(&mut wire.as_slice(), &mut payload)), Err(FrameError::TooLong(_))));
        assert!(matches!(read_blocking(&mut wire.as_slice(), &mut payload), Err(FrameError::TooLong(_))));
        assert_eq!(payload.capacity(), 0);
        assert!(write_blocking(&mut Vec::new(), STDIN, &vec![0; MAX_FRAME + 1]).is_err());
    }
}
