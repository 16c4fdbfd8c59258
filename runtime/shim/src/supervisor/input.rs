//! The container's stdin, which several clients may write to, and which a restart replaces.

use std::cell::RefCell;
use std::rc::Rc;

use sandbox_protocol::FdStream;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex, Notify};

use super::client::{Stdin, Writer};

#[derive(Debug, Default)]
enum State {
    /// The process is not there yet.
    #[default]
    Coming,
    Open(FdStream),
    Closed,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Input {
    state: RefCell<State>,
    changed: Notify,
    /// One client's bytes at a time.
    turn: Mutex<()>,
}

impl Input {
    /// A process is there; without a stream it reads nothing.
    pub(crate) fn open(&self, stream: Option<FdStream>) {
        *self.state.borrow_mut() = stream.map_or(State::Closed, State::Open);
        self.changed.notify_waiters();
    }

    /// The process is gone, and another will come.
    pub(crate) fn renew(&self) {
        *self.state.borrow_mut() = State::Coming;
    }

    /// End of file.
    pub(crate) async fn close(&self) {
        let state = std::mem::replace(&mut *self.state.borrow_mut(), State::Closed);
        self.changed.notify_waiters();
        if let State::Open(mut stream) = state {
            let _ = stream.shutdown().await;
        }
    }

    /// Waits for the process; `None` if it reads nothing.
    async fn stream(&self) -> Option<FdStream> {
        loop {
            // Before the look, so that a change in between is not missed.
            let changed = self.changed.notified();
            match &*self.state.borrow() {
                State::Open(stream) => return Some(stream.clone()),
                State::Closed => return None,
                State::Coming => {}
            }
            changed.await;
        }
    }

    async fn write(&self, bytes: &[u8]) {
        let _turn = self.turn.lock().await;
        if let Some(mut stream) = self.stream().await
            && stream.write_all(bytes).await.is_err()
        {
            *self.state.borrow_mut() = State::Closed;
        }
    }
}

/// Moves a client's input to the process. What it does not take any more, or never did, is dropped, as a terminal or a
/// shell would. With `closes`, the client's end of file is the process's.
pub(crate) async fn pump(from: Rc<Stdin>, to: Rc<Input>, credit: Rc<Writer>, closes: bool) {
    while let Some(bytes) = from.take().await {
        to.write(&bytes).await;
        from.give_back(bytes.len());
        credit.credit(bytes.len()).await;
    }
    if closes {
        // Not before the process is there: it is its stdin that ends.
        drop(to.stream().await);
        to.close().await;
    }
}
