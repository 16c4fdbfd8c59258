//! The relays between a process's streams and a client: fixed buffers, whole frames, every byte before the end.

use std::rc::Rc;
use std::time::Duration;

use sandbox_protocol::FdStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::client::{Stdin, Writer, data_frame};
use crate::stamps::Stamps;
use crate::wire::HEADER;

/// Bytes of output in one frame.
const CHUNK: usize = 64 << 10;
/// How long a stream may be silent after its process has ended before it is taken for ended too. Only something
/// outside of the container that was given the stream can hold it open then; a guest on a busy host may need seconds to
/// send its last bytes.
const SILENCE: Duration = Duration::from_secs(10);

/// Moves output to the client as frames of `kind`, an empty one at the end.
pub(crate) async fn output(
    kind: u8,
    mut from: FdStream,
    to: Rc<Writer>,
    ended: watch::Receiver<bool>,
    stamps: Rc<Stamps>,
) {
    let mut buffer = vec![0; HEADER + CHUNK];
    loop {
        let length = tokio::select! {
            biased;
            length = from.read(&mut buffer[HEADER..]) => length.unwrap_or(0),
            () = silence(ended.clone()) => 0,
        };
        if length > 0 {
            stamps.mark_once("first_output");
        }
        to.send(data_frame(kind, &mut buffer, length)).await;
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

/// Moves input to the process, then closes its stdin. What a process does not take any more, or never did, is
/// dropped, as a terminal or a shell would.
pub(crate) async fn input(from: Rc<Stdin>, mut to: Option<FdStream>, credit: Rc<Writer>) {
    while let Some(bytes) = from.take().await {
        if let Some(stream) = to.as_mut()
            && stream.write_all(&bytes).await.is_err()
        {
            to = None;
        }
        from.give_back(bytes.len());
        credit.credit(bytes.len()).await;
    }
    if let Some(stream) = to.as_mut() {
        let _ = stream.shutdown().await;
    }
}
