//! Length-prefixed prost frames over any byte stream.
//!
//! The length is the peer's word, so it is only ever compared with the caller's limit; memory grows with
//! the bytes that arrive. Refuses frames above the limit, cut-off ones, and ones that do not decode.

use std::io;

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of the length prefix.
const PREFIX: usize = 4;

/// Why a frame could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {length} bytes is above the limit of {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    #[error("a frame does not decode: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Appends the frame of `message` to `out`, so that several leave in one write.
///
/// # Errors
/// [`FrameError::TooLong`] above [`crate::MAX_FRAME`]; `out` is then as before.
pub fn encode<M: Message>(message: &M, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let length = message.encoded_len();
    if length > crate::MAX_FRAME {
        return Err(FrameError::TooLong { length, limit: crate::MAX_FRAME });
    }
    out.reserve(PREFIX + length);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    message.encode_raw(out);
    Ok(())
}

/// Sends one frame in one write.
///
/// # Errors
/// As [`encode`], and whatever writing gives.
pub async fn write<M: Message, W: AsyncWrite + Unpin>(to: &mut W, message: &M) -> Result<(), FrameError> {
    let mut frame = Vec::new();
    encode(message, &mut frame)?;
    to.write_all(&frame).await?;
    Ok(())
}

/// Receives one frame of at most `limit` bytes; `None` at an end of file between two frames.
///
/// Never reads past the frame, so raw bytes may follow it. Not cancel safe: a dropped call may have taken
/// a part of a frame.
///
/// # Errors
/// Every [`FrameError`]; the connection is of no use afterwards.
pub async fn read<M: Message + Default, R: AsyncRead + Unpin>(
    from: &mut R,
    limit: usize,
) -> Result<Option<M>, FrameError> {
    let mut prefix = [0; PREFIX];
    let mut have = 0;
    while have < PREFIX {
        match from.read(&mut prefix[have..]).await? {
            0 if have == 0 => return Ok(None),
            0 => return Err(FrameError::Truncated),
            n => have += n,
        }
    }
    let length = u32::from_le_bytes(prefix) as usize;
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    let mut body = Vec::with_capacity(length.min(8 << 10));
    from.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(FrameError::Truncated);
    }
    Ok(Some(M::decode(body.as_slice())?))
}

#[cfg(test)]
mod tests;
