//! Drivers `syslog` and `journald`: lines as messages to a daemon of this machine or another.
//!
//! A daemon that cannot be reached when the container starts is an error of the start. After that it may be slow or gone:
//! messages wait in a queue of bounded size, a task of the event loop sends them and connects again where it must, and what
//! finds the queue full is dropped and counted, in both modes; `max-buffer-size` is the size. When the daemon is back
//! it is told how many were dropped.

mod connection;
mod journald;
mod queue;
mod syslog;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::connection::{Connection, Endpoint, Sent};
use self::queue::Queue;
pub(super) use self::syslog::SyslogOptions;
use super::{Line, LogPlan, Stream, options};
use crate::calendar;

/// How long the container's end waits for a daemon that does take messages.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between attempts to connect again: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Makes messages.
#[derive(Debug)]
enum Encoder {
    Syslog(syslog::Encoder),
    Journald(journald::Encoder),
}

impl Encoder {
    fn encode(&self, line: &Line<'_>) -> Vec<u8> {
        match self {
            Encoder::Syslog(syslog) => syslog.encode(line),
            Encoder::Journald(journald) => journald.encode(line),
        }
    }
}

#[derive(Debug)]
pub(super) struct Remote {
    encoder: Rc<Encoder>,
    queue: Rc<Queue>,
    task: JoinHandle<()>,
    /// For the last word.
    name: String,
}

impl Remote {
    /// Connects.
    pub(super) async fn open(plan: &LogPlan) -> Result<Remote, String> {
        let (encoder, endpoint) = if plan.driver == "journald" {
            (Encoder::Journald(journald::Encoder::new(plan)?), Endpoint::Journald(journald::SOCKET.into()))
        } else {
            let options = SyslogOptions::parse(&plan.options)?;
            let endpoint = Endpoint::syslog(&options.address, &plan.addresses)?;
            (Encoder::Syslog(syslog::Encoder::new(plan, &options)?), endpoint)
        };
        Remote::connect(encoder, endpoint, options::buffer(&plan.options)?).await
    }

    async fn connect(encoder: Encoder, endpoint: Endpoint, bound: u64) -> Result<Remote, String> {
        let connection = endpoint.connect().await?;
        let (encoder, queue) = (Rc::new(encoder), Rc::new(Queue::new(bound)));
        let name = endpoint.to_string();
        let deliver = deliver(endpoint, connection, Rc::clone(&queue), Rc::clone(&encoder));
        Ok(Remote { task: tokio::task::spawn_local(deliver), encoder, queue, name })
    }

    pub(super) fn line(&mut self, line: &Line<'_>) {
        if matches!(&*self.encoder, Encoder::Syslog(_)) && line.text.is_empty() {
            // Docker sends no empty messages to syslog.
            return;
        }
        self.queue.push(self.encoder.encode(line));
    }

    pub(super) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    pub(super) async fn close(mut self) -> u64 {
        self.queue.close();
        if timeout(FAREWELL, &mut self.task).await.is_err() {
            self.task.abort();
        }
        let lost = self.queue.dropped() + self.queue.waiting();
        if lost > 0 {
            eprintln!("sandbox-shim: {lost} log messages were lost: {} was slow or gone", self.name);
        }
        lost
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends messages until the queue is closed and empty, or closed and the daemon gone.
async fn deliver(endpoint: Endpoint, mut connection: Connection, queue: Rc<Queue>, encoder: Rc<Encoder>) {
    let mut told = 0;
    let mut connected = Instant::now();
    while queue.filled().await {
        let Some(message) = queue.first() else { continue };
        match connection.send(&message).await {
            Sent::Yes => {
                queue.pop();
                told = tell(&mut connection, &queue, &encoder, told).await;
            }
            // No message of that length ever will be taken.
            Sent::TooLong => queue.refuse(),
            Sent::Gone => {
                // A daemon that takes connections and hangs up is not called all the time.
                let early = BACK_OFF.0.saturating_sub(connected.elapsed());
                if !early.is_zero() {
                    if queue.is_closed() {
                        return;
                    }
                    pause(early, &queue).await;
                }
                connected = Instant::now();
                match reconnect(&endpoint, &queue).await {
                    Some(other) => connection = other,
                    None => return,
                }
            }
        }
    }
}

/// Tells a daemon that takes messages what it missed; once, however that goes.
async fn tell(connection: &mut Connection, queue: &Queue, encoder: &Encoder, told: u64) -> u64 {
    let dropped = queue.dropped();
    if dropped > told && queue.waiting() == 0 {
        let text = format!("sandbox: {} log messages of this container were dropped here", dropped - told);
        let at_ns = calendar::now_ns();
        let line = Line { stream: Stream::Stderr, at_ns, text: text.as_bytes(), whole: true };
        connection.send(&encoder.encode(&line)).await;
        return dropped;
    }
    told
}

/// A connection again, or none when nobody waits for it any more.
async fn reconnect(endpoint: &Endpoint, queue: &Queue) -> Option<Connection> {
    let (mut wait, longest) = BACK_OFF;
    let mut last = queue.is_closed();
    loop {
        if let Ok(connection) = endpoint.connect().await {
            return Some(connection);
        }
        if last {
            return None;
        }
        last = !pause(wait, queue).await;
        wait = (wait * 2).min(longest);
    }
}

/// Waits; false as soon as the queue is closed.
async fn pause(time: Duration, queue: &Queue) -> bool {
    tokio::select! {
        () = sleep(time) => true,
        () = queue.closed() => false,
    }
}
