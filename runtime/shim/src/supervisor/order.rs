//! What is asked of a running container. Many ask: the primary client, connections to the socket, health checks;
//! one loop ([`super::control`]) does it, because it alone has the container.

use std::time::Duration;

use sandbox_container::Processes;
use sandbox_container::archive::Archive;
use tokio::sync::{mpsc, oneshot};

use crate::isolation::{Exec, Failure, Figures, Process, Update};
use crate::plan::Restart;

/// Orders that wait; when it is full, whoever asks waits.
const QUEUE: usize = 64;

/// What to do.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Signal `process`; empty: the init.
    Signal {
        process: String,
        signal: i32,
    },
    /// Signal the init on somebody's behalf: one that means its end keeps it from being started again.
    Kill {
        signal: i32,
    },
    Resize {
        process: String,
        rows: u16,
        cols: u16,
    },
    Exec(Box<Exec>),
    Archive {
        name: String,
        archive: Archive,
    },
    Sync,
    Stats,
    Pause,
    Resume,
    Update(Box<Update>),
    /// Another restart policy.
    Policy(Restart),
    Processes,
    /// Answered at the container's end.
    Stop {
        signal: Option<i32>,
        patience: Patience,
        keep: bool,
    },
    /// Its primary client leaves it alone.
    Untie,
    /// Its primary client is gone.
    Gone,
}

/// How long a container may take to end after its stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As its plan says.
    Own,
    For(Duration),
    Endless,
}

impl Patience {
    /// Docker's: negative is endless.
    pub(crate) fn of(seconds: Option<i64>) -> Self {
        match seconds.map(u64::try_from) {
            None => Self::Own,
            Some(Ok(seconds)) => Self::For(Duration::from_secs(seconds)),
            Some(Err(_)) => Self::Endless,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Process(Process),
    Stats(Box<Figures>),
    Processes(Processes),
}

/// Where the answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Answer, Failure>>;

/// One thing to do.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) ask: Ask,
    pub(crate) reply: Option<Reply>,
}

impl Order {
    /// Answers, if anybody wants to know.
    pub(crate) fn answer(self, result: Result<Answer, Failure>) {
        if let Some(reply) = self.reply {
            // Whoever asked may have left meanwhile.
            let _ = reply.send(result);
        }
    }
}

/// For everybody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Orders(mpsc::Sender<Order>);

impl Orders {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Asks without waiting for what comes of it.
    pub(crate) async fn tell(&self, ask: Ask) {
        // The receiver lives as long as the container.
        let _ = self.0.send(Order { ask, reply: None }).await;
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// A text for the user; also when the container ends before.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Order { ask, reply: Some(reply) }).await;
        answer.await.unwrap_or_else(|_| Err(not_running()))
    }
}

/// The container has ended, or ends just now.
pub(crate) fn not_running() -> Failure {
    Failure { message: "the container is not running".into(), exit_code: 1 }
}
