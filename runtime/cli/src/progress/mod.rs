//! Progress of pulls, pushes and loads as Docker shows it: on a terminal one line per layer that is written again in
//! place, elsewhere a line per step.
//!
//! Whatever is written goes out in one piece that ends with the cursor below all lines, so that a command that is
//! interrupted leaves the terminal as it should be.

mod bar;
mod plain;
mod screen;

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use plain::Plain;
use screen::Screen;

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) current: u64,
    /// 0 if nobody knows.
    pub(crate) total: u64,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// A line of its own.
    Line(String),
    /// The state of one layer, by its short id. One without an amount passes, and is for terminals only.
    Step { id: String, status: String, amount: Option<Amount> },
}

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
    /// `--quiet`
    Nowhere,
}

/// Shows messages.
#[derive(Debug)]
pub(crate) struct Progress {
    stream: Stream,
    view: View,
}

#[derive(Debug)]
enum View {
    Screen(Ticking),
    Plain(Plain),
}

impl Progress {
    pub(crate) fn new(stream: Stream) -> Progress {
        let size = match stream {
            Stream::Stdout => terminal_size(std::io::stdout()),
            Stream::Stderr => terminal_size(std::io::stderr()),
            Stream::Nowhere => None,
        };
        let view = match size {
            Some((rows, columns)) => View::Screen(Ticking::new(Screen::new(rows, columns), stream)),
            None => View::Plain(Plain::default()),
        };
        Progress { stream, view }
    }

    pub(crate) fn show(&mut self, message: Message) {
        match &mut self.view {
            View::Screen(ticking) => ticking.show(message),
            View::Plain(plain) => self.stream.write(&plain.message(message)),
        }
    }

    pub(crate) fn line(&mut self, text: impl Into<String>) {
        self.show(Message::Line(text.into()));
    }
}

impl Stream {
    fn write(self, text: &str) {
        // A reader of progress that is gone is no reason to stop.
        let _ = match self {
            _ if text.is_empty() => Ok(()),
            Stream::Stdout => std::io::stdout().lock().write_all(text.as_bytes()).and_then(|()| {
                // Standard output is buffered by lines, and a line in place has no end.
                std::io::stdout().flush()
            }),
            Stream::Stderr => std::io::stderr().write_all(text.as_bytes()),
            Stream::Nowhere => Ok(()),
        };
    }
}

/// A screen that is brought up to date at its times, also when no more messages come.
#[derive(Debug)]
struct Ticking {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    screen: Mutex<Screen>,
    stream: Stream,
    ended: AtomicBool,
}

impl Ticking {
    fn new(screen: Screen, stream: Stream) -> Ticking {
        let shared = Arc::new(Shared { screen: Mutex::new(screen), stream, ended: AtomicBool::new(false) });
        let theirs = shared.clone();
        let ticker = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            while !theirs.ended.load(Ordering::Relaxed) {
                std::thread::park_timeout(screen::INTERVAL);
                theirs.write(|screen| screen.flush(Instant::now()));
            }
        });
        // Without it the screen is merely late.
        Ticking { shared, ticker: ticker.ok() }
    }

    fn show(&self, message: Message) {
        self.shared.write(|screen| screen.message(message, Instant::now()));
    }
}

impl Shared {
    fn write(&self, update: impl FnOnce(&mut Screen) -> String) {
        let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock is held while it is written, for one text builds on the other.
        self.stream.write(&update(&mut screen));
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            // It does not panic, and shows at last what was held back.
            let _ = ticker.join();
        }
    }
}

/// Rows and columns; `None` for what is no terminal.
fn terminal_size(stream: impl AsFd) -> Option<(usize, usize)> {
    if !rustix::termios::isatty(&stream) {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stream).ok();
    // A terminal that does not know its size says 0.
    let known = |n: u16, default| if n == 0 { default } else { usize::from(n) };
    Some(size.map_or((24, 80), |size| (known(size.ws_row, 24), known(size.ws_col, 200))))
}
