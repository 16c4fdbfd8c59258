//! The relays of a process's output: fixed buffers, whole frames, every byte before the end.

use std::time::Duration;

use sandbox_protocol::FdStream;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::client::data_frame;
use crate::wire::HEADER;

/// Bytes of output in one frame.
const CHUNK: usize = 64 << 10;
/// How long a stream may be silent after its process has ended before it is taken for ended too. Only something
/// outside of the container that was given the stream can hold it open then.
const SILENCE: Duration = Duration::from_secs(2);

/// Takes whole frames of output.
pub(crate) trait Sink {
    /// Takes one, in its own time.
    fn output(&self, kind: u8, frame: &[u8]) -> impl Future<Output = ()>;
}

/// Moves output to `to` as frames of `kind`, an empty one at the end. `ended` says that the process has.
pub(crate) async fn output(kind: u8, mut from: FdStream, to: impl Sink, ended: watch::Receiver<bool>) {
    let mut buffer = vec![0; HEADER + CHUNK];
    loop {
        let length = tokio::select! {
            biased;
            length = from.read(&mut buffer[HEADER..]) => length.unwrap_or(0),
            () = silence(ended.clone()) => 0,
        };
        to.output(kind, data_frame(kind, &mut buffer, length)).await;
        if length == 0 {
            return;
        }
    }
}

async fn silence(mut ended: watch::Receiver<bool>) {
    // A sender that is gone ends the wait like one that says so.
    let _ = ended.wait_for(|ended| *ended).await;
    tokio::time::sleep(SILENCE).await;
}
