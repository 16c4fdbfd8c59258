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
    /// The state of one layer, by its short id.
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
    Screen(Box<Screen>),
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
            Some((rows, columns)) => View::Screen(Box::new(Screen::new(rows, columns))),
            None => View::Plain(Plain::default()),
        };
        Progress { stream, view }
    }

    pub(crate) fn show(&mut self, message: Message) {
        let text = match &mut self.view {
            View::Screen(screen) => screen.message(message, Instant::now()),
            View::Plain(plain) => plain.message(message),
        };
        self.write(&text);
    }

    pub(crate) fn line(&mut self, text: impl Into<String>) {
        self.show(Message::Line(text.into()));
    }

    fn write(&self, text: &str) {
        // A reader of progress that is gone is no reason to stop.
        let _ = match self.stream {
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

impl Drop for Progress {
    /// What was held back for the sake of the rate is shown at last.
    fn drop(&mut self) {
        if let View::Screen(screen) = &mut self.view {
            let text = screen.flush(Instant::now());
            self.write(&text);
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
