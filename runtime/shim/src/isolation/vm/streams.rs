//! The guest's stdio connections: each must name a stream that a request announced.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use sandbox_protocol::{FdStream, MAX_STREAM_HEADER, StreamHeader, TOKEN, frame};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};

use super::patience::Patience;
use crate::isolation::{Failure, Stdio, Streams};

/// Connections that have not yet said who they are. More wait in the listener's backlog.
const STRANGERS: usize = 16;
/// How long the guest may take to open a stream that it accepted to open, and a connection to say which stream it is: one
/// that is dropped is missed for ever. A longer boot deadline extends it.
const OPEN: Duration = Duration::from_secs(30);

type Token = [u8; TOKEN];

/// Accepts stdio connections.
#[derive(Debug)]
pub(crate) struct StreamListener {
    expected: Rc<RefCell<HashMap<Token, oneshot::Sender<FdStream>>>>,
    patience: Patience,
    task: tokio::task::JoinHandle<()>,
}

/// Streams that the guest is to open.
#[derive(Debug)]
pub(crate) struct Expected {
    terminal: bool,
    input: Option<oneshot::Receiver<FdStream>>,
    output: oneshot::Receiver<FdStream>,
    error: Option<oneshot::Receiver<FdStream>>,
    patience: Patience,
}

impl StreamListener {
    /// Serves `listener` until dropped. Connections of other users than `uid` and root are dropped.
    pub(crate) fn new(listener: UnixListener, uid: u32, patience: Patience) -> Self {
        let expected = Rc::new(RefCell::new(HashMap::new()));
        let task = tokio::task::spawn_local(accept(listener, uid, Rc::clone(&expected), patience.clone()));
        Self { expected, patience, task }
    }

    /// Announces the streams of one process: what goes into the request, and what to wait for.
    ///
    /// # Errors
    /// When the kernel has no randomness.
    pub(crate) fn expect(&self, stdio: Stdio) -> Result<(sandbox_protocol::Stdio, Expected), Failure> {
        let announce = || -> Result<(Vec<u8>, oneshot::Receiver<FdStream>), Failure> {
            let mut token = Token::default();
            getrandom(&mut token, GetRandomFlags::empty())
                .map_err(|error| Failure::engine(format!("draw a random token: {error}")))?;
            let (sender, receiver) = oneshot::channel();
            self.expected.borrow_mut().insert(token, sender);
            Ok((token.to_vec(), receiver))
        };
        let mut request =
            sandbox_protocol::Stdio { terminal: stdio.terminal.is_some(), ..Default::default() };
        let (token, output) = announce()?;
        request.stdout = token;
        let mut expected = Expected {
            terminal: request.terminal,
            input: None,
            output,
            error: None,
            patience: self.patience.clone(),
        };
        if let Some((rows, cols)) = stdio.terminal {
            (request.rows, request.cols) = (rows.into(), cols.into());
            return Ok((request, expected));
        }
        let (token, error) = announce()?;
        request.stderr = token;
        expected.error = Some(error);
        if stdio.stdin {
            let (token, input) = announce()?;
            request.stdin = token;
            expected.input = Some(input);
        }
        Ok((request, expected))
    }
}

impl Drop for StreamListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Expected {
    /// Waits until the guest has opened them all.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn open(self) -> Result<Streams, Failure> {
        let all = async {
            let output = self.output.await?;
            let error = match self.error {
                Some(error) => Some(error.await?),
                None => None,
            };
            let input = match self.input {
                Some(input) => Some(input.await?),
                None => self.terminal.then(|| output.clone()),
            };
            Ok(Streams { input, output, error })
        };
        match self.patience.wait(OPEN, all).await {
            Ok(Ok(streams)) => Ok(streams),
            Ok(Err(oneshot::error::RecvError { .. })) | Err(_) => {
                Err(Failure::engine("the agent in the guest did not open the container's streams"))
            }
        }
    }
}

/// Whether the peer is the monitor, which runs as `uid`, or root.
///
/// # Errors
/// When the kernel does not tell, or it is somebody else.
pub(crate) fn check_peer(connection: &UnixStream, uid: u32) -> io::Result<()> {
    let peer = connection.peer_cred()?;
    if peer.uid() == uid || peer.uid() == 0 { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

async fn accept(
    listener: UnixListener,
    uid: u32,
    expected: Rc<RefCell<HashMap<Token, oneshot::Sender<FdStream>>>>,
    patience: Patience,
) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    while let Ok(permit) = Arc::clone(&strangers).acquire_owned().await {
        let Ok((connection, _)) = listener.accept().await else { return };
        if check_peer(&connection, uid).is_err() {
            continue;
        }
        let (expected, patience) = (Rc::clone(&expected), patience.clone());
        tokio::task::spawn_local(async move {
            let _permit = permit;
            let Ok(mut stream) =
                connection.into_std().and_then(|connection| FdStream::new(connection.into()))
            else {
                return;
            };
            let header =
                patience.wait(OPEN, frame::read::<StreamHeader, _>(&mut stream, MAX_STREAM_HEADER)).await;
            if let Ok(Ok(Some(header))) = header
                && let Ok(token) = Token::try_from(header.token)
                && let Some(sender) = expected.borrow_mut().remove(&token)
            {
                // A receiver that is gone has given up on the stream.
                let _ = sender.send(stream);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn local<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, future)
    }

    async fn open(path: &std::path::Path, token: Vec<u8>) -> UnixStream {
        let mut stream = UnixStream::connect(path).await.unwrap();
        frame::write(&mut stream, &StreamHeader { token }).await.unwrap();
        stream
    }

    #[test]
    fn streams_are_told_apart_by_token_and_strangers_are_dropped() {
        local(async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("sock");
            let streams =
                StreamListener::new(UnixListener::bind(&path).unwrap(), 0, Patience::new(Duration::ZERO));
            let (request, expected) = streams.expect(Stdio { terminal: None, stdin: true }).unwrap();
            assert!(
                [&request.stdin, &request.stdout, &request.stderr].iter().all(|token| token.len() == TOKEN)
            );
            let mut stranger = open(&path, vec![7; TOKEN]).await;
            let mut liar = UnixStream::connect(&path).await.unwrap();
            liar.write_all(&[0xff; 8]).await.unwrap();
            let mut stderr = open(&path, request.stderr).await;
            let mut stdout = open(&path, request.stdout.clone()).await;
            let mut stdin = open(&path, request.stdin).await;
            stdout.write_all(b"out").await.unwrap();
            stderr.write_all(b"err").await.unwrap();
            drop((stdout, stderr));
            let mut ours = expected.open().await.unwrap();
            let mut text = String::new();
            ours.output.read_to_string(&mut text).await.unwrap();
            ours.error.unwrap().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "outerr");
            ours.input.take().unwrap().shutdown().await.unwrap();
            assert_eq!(stdin.read(&mut [0; 8]).await.unwrap(), 0);
            for stranger in [&mut stranger, &mut liar] {
                let end = stranger.read(&mut [0; 8]).await;
                assert!(matches!(&end, Ok(0) | Err(_)), "{end:?}");
            }
            // A token opens one stream, once.
            let mut again = open(&path, request.stdout).await;
            assert!(matches!(again.read(&mut [0; 8]).await, Ok(0) | Err(_)));
        });
    }

    #[test]
    fn a_terminal_is_one_stream_for_both_directions() {
        local(async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("sock");
            let streams =
                StreamListener::new(UnixListener::bind(&path).unwrap(), 0, Patience::new(Duration::ZERO));
            let (request, expected) =
                streams.expect(Stdio { terminal: Some((24, 80)), stdin: true }).unwrap();
            assert!(request.terminal && request.stdin.is_empty() && request.stderr.is_empty());
            assert_eq!((request.rows, request.cols), (24, 80));
            let mut guest = open(&path, request.stdout).await;
            let mut ours = expected.open().await.unwrap();
            assert!(ours.error.is_none());
            ours.input.as_mut().unwrap().write_all(b"keys").await.unwrap();
            let mut got = [0; 4];
            guest.read_exact(&mut got).await.unwrap();
            guest.write_all(&got).await.unwrap();
            ours.output.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"keys");
        });
    }
}
