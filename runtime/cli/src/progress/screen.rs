//! Progress on a terminal: a line per layer, written again in place.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::{Amount, Message, bar};

/// Lines are written again no more often than this, unless their state is a new one.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

const ERASE_LINE: &str = "\x1b[2K\r";

#[derive(Debug)]
pub(super) struct Screen {
    rows: usize,
    columns: usize,
    lines: Vec<Line>,
    written: Option<Instant>,
}

#[derive(Debug)]
struct Line {
    id: String,
    status: String,
    amount: Option<Amount>,
    /// When the state began.
    since: Instant,
    /// It is not on the screen as it is here.
    stale: bool,
}

impl Screen {
    pub(super) fn new(rows: usize, columns: usize) -> Screen {
        Screen { rows, columns, lines: Vec::new(), written: None }
    }

    /// What is written for a message.
    pub(super) fn message(&mut self, message: Message, now: Instant) -> String {
        let (id, status, amount) = match message {
            Message::Line(text) => {
                let before = self.flush(now);
                // Below a line of text the layers before it are history.
                self.lines.clear();
                return before + &text + "\n";
            }
            Message::Step { id, status, amount } => (id, status, amount),
        };
        let mut begun = String::new();
        match self.lines.iter_mut().find(|line| line.id == id) {
            Some(line) if line.status == status => {
                (line.amount, line.stale) = (amount, true);
                if self.written.is_some_and(|written| now.duration_since(written) < INTERVAL) {
                    return String::new();
                }
            }
            Some(line) => {
                (line.status, line.amount, line.since, line.stale) = (status, amount, now, true);
            }
            None => {
                self.lines.push(Line { id, status, amount, since: now, stale: true });
                begun.push('\n');
            }
        }
        begun + &self.flush(now)
    }

    /// Writes all lines that are not on the screen as they are.
    pub(super) fn flush(&mut self, now: Instant) -> String {
        let mut text = String::new();
        let count = self.lines.len();
        let (rows, columns) = (self.rows, self.columns);
        for (index, line) in self.lines.iter_mut().enumerate() {
            let up = count - index;
            // What has left the screen cannot be reached any more.
            if !line.stale || up >= rows {
                continue;
            }
            line.stale = false;
            let shown = line.text(columns, now);
            // Writing to a text does not fail.
            let _ = write!(text, "\x1b[{up}A{ERASE_LINE}{shown}\r\x1b[{up}B");
        }
        if !text.is_empty() {
            self.written = Some(now);
        }
        text
    }
}

impl Line {
    fn text(&self, columns: usize, now: Instant) -> String {
        let amount = self.amount.map(|amount| bar::render(amount, columns, now.duration_since(self.since)));
        let text = format!("{}: {} {}", self.id, self.status, amount.unwrap_or_default());
        // A line that wraps would be two lines, and the cursor moves by one.
        text.trim_end().chars().take(columns.saturating_sub(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, status: &str, current: u64, total: u64) -> Message {
        let amount = Some(Amount { current, total });
        Message::Step { id: id.to_owned(), status: status.to_owned(), amount }
    }

    /// A terminal of so many rows that understands what we write.
    fn shown(text: &str, rows: usize) -> Vec<String> {
        let (mut lines, mut row, mut column) = (vec![String::new()], 0usize, 0usize);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\n' => {
                    row += 1;
                    column = 0;
                    if row == lines.len() {
                        lines.push(String::new());
                    }
                }
                '\r' => column = 0,
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    let number = rest[1..end].parse::<usize>().unwrap();
                    match &rest[end..=end] {
                        "A" => {
                            assert!(number < rows, "the cursor leaves the screen");
                            row -= number;
                        }
                        "B" => row += number,
                        "K" => lines[row].clear(),
                        other => panic!("{other}"),
                    }
                    rest = &rest[end + 1..];
                }
                c => {
                    assert_eq!(lines[row].chars().count(), column);
                    lines[row].push(c);
                    column += 1;
                }
            }
        }
        assert_eq!((row + 1, column), (lines.len(), 0), "the cursor rests below all lines");
        lines
    }

    #[test]
    fn lines_are_rewritten_in_place() {
        let now = Instant::now();
        let mut screen = Screen::new(24, 80);
        let mut text = screen.message(Message::Line("latest: Pulling".to_owned()), now);
        text += &screen.message(step("aaa", "Pulling fs layer", 0, 0), now);
        text += &screen.message(step("bbb", "Pulling fs layer", 0, 0), now);
        text += &screen.message(step("aaa", "Downloading", 500, 1000), now);
        assert_eq!(
            shown(&text, 24),
            ["latest: Pulling", "aaa: Downloading     500B/1kB 0s", "bbb: Pulling fs layer", ""]
        );
        text += &screen.message(step("aaa", "Pull complete", 0, 0), now);
        text += &screen.message(Message::Line("Digest: x".to_owned()), now);
        text += &screen.message(step("aaa", "Pulling fs layer", 0, 0), now);
        assert_eq!(
            shown(&text, 24),
            [
                "latest: Pulling",
                "aaa: Pull complete",
                "bbb: Pulling fs layer",
                "Digest: x",
                "aaa: Pulling fs layer",
                ""
            ]
        );
    }

    #[test]
    fn amounts_wait_for_their_turn() {
        let now = Instant::now();
        let mut screen = Screen::new(24, 80);
        screen.message(step("aaa", "Downloading", 1, 1000), now);
        assert_eq!(screen.message(step("aaa", "Downloading", 2, 1000), now), "");
        assert_eq!(screen.message(step("aaa", "Downloading", 3, 1000), now + INTERVAL / 2), "");
        assert_ne!(screen.message(step("aaa", "Downloading", 4, 1000), now + INTERVAL), "");
        assert_eq!(screen.message(step("aaa", "Downloading", 5, 1000), now + INTERVAL), "");
        assert!(screen.flush(now + INTERVAL).contains("5B/1kB"));
        assert_eq!(screen.flush(now + INTERVAL), "");
    }

    #[test]
    fn more_layers_than_rows_and_narrow_terminals() {
        let now = Instant::now();
        let mut screen = Screen::new(5, 20);
        let mut text = String::new();
        for layer in 0..50 {
            text += &screen.message(step(&format!("layer{layer}"), "Pulling fs layer", 0, 0), now);
        }
        for layer in 0..50 {
            text += &screen.message(step(&format!("layer{layer}"), "Pull complete", 0, 0), now);
        }
        let lines = shown(&text, 5);
        assert_eq!(lines[49], "layer49: Pull compl");
        assert_eq!(lines[0], "layer0: Pulling fs ");
    }
}
