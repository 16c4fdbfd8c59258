//! `sandbox logs`.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::ControlFlow;

use sandbox_engine::logs::{self, Options, Record, Stream};
use sandbox_shim::calendar::Civil;

use crate::commands::{moment, show};
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::logs::LogsFlags;

/// Bytes that are written at once while there are more.
const BUFFER: usize = 64 << 10;

pub(in crate::commands) fn run(global: &Global, flags: &LogsFlags) -> Result<u8, Failure> {
    let options = Options {
        since_ns: moment("since", flags.since.as_deref())?,
        until_ns: moment("until", flags.until.as_deref())?,
        tail: tail(&flags.tail)?,
        follow: flags.follow,
        stdout: true,
        stderr: true,
    };
    let engine = crate::commands::engine(global)?;
    let container = engine.find(&flags.container)?;
    let mut output = Output::new(flags, io::stdout(), io::stderr());
    engine.logs(&container, &options, &mut output)?;
    output.finish()
}

/// `all`, and a negative number means the same.
fn tail(text: &str) -> Result<Option<u64>, Failure> {
    if text.is_empty() || text == "all" {
        return Ok(None);
    }
    let number: i64 = text.parse().map_err(|_| {
        Failure::plain(format!(
            "invalid value for \"tail\": {text:?} is neither a number of lines nor \"all\""
        ))
    })?;
    Ok(u64::try_from(number).ok())
}

/// The two streams of the command, written in the order of the log.
#[derive(Debug)]
struct Output<O, E> {
    timestamps: bool,
    details: bool,
    stdout: O,
    stderr: E,
    /// What waits for the stream that it belongs to.
    buffer: Vec<u8>,
    stream: Stream,
    /// Whether the last record of stdout and stderr was a part of a line.
    within: [bool; 2],
    outcome: io::Result<()>,
}

impl<O: Write, E: Write> Output<O, E> {
    fn new(flags: &LogsFlags, stdout: O, stderr: E) -> Output<O, E> {
        Output {
            timestamps: flags.timestamps,
            details: flags.details,
            stdout,
            stderr,
            buffer: Vec::new(),
            stream: Stream::Stdout,
            within: [false; 2],
            outcome: Ok(()),
        }
    }

    fn flush(&mut self) -> ControlFlow<()> {
        let written = match self.stream {
            Stream::Stdout => self.stdout.write_all(&self.buffer).and_then(|()| self.stdout.flush()),
            Stream::Stderr => self.stderr.write_all(&self.buffer).and_then(|()| self.stderr.flush()),
        };
        self.buffer.clear();
        let flow = if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        if self.outcome.is_ok() {
            self.outcome = written;
        }
        flow
    }

    fn finish(mut self) -> Result<u8, Failure> {
        let _ = self.flush();
        show(self.outcome)
    }
}

impl<O: Write, E: Write> logs::Reader for Output<O, E> {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        if record.stream != self.stream || self.buffer.len() >= BUFFER {
            self.flush()?;
            self.stream = record.stream;
        }
        // What goes on in the middle of a line has no head of its own.
        let within = &mut self.within[record.stream as usize];
        if !std::mem::replace(within, !record.text.ends_with('\n')) {
            if self.timestamps {
                let _ = write!(self.buffer, "{} ", Civil::utc(record.at_ns).rfc3339_fixed());
            }
            if self.details {
                self.buffer.extend_from_slice(details(record).as_bytes());
            }
        }
        self.buffer.extend_from_slice(record.text.as_bytes());
        ControlFlow::Continue(())
    }

    fn idle(&mut self) -> ControlFlow<()> {
        self.flush()
    }
}

/// `key=value,key=value `, escaped as in a URL's query.
fn details(record: &Record<'_>) -> String {
    let pairs: Vec<String> =
        record.attributes.iter().map(|(key, value)| format!("{}={}", query(key), query(value))).collect();
    pairs.join(",") + " "
}

fn query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // A string takes everything.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use sandbox_engine::logs::Reader;

    use super::*;

    fn flags(timestamps: bool, details: bool) -> LogsFlags {
        LogsFlags {
            details,
            follow: false,
            since: None,
            tail: "all".to_owned(),
            timestamps,
            until: None,
            container: String::new(),
        }
    }

    fn shown(flags: &LogsFlags) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output::new(flags, &mut out, &mut err);
        let records = [
            ("one\n", Stream::Stdout),
            ("par", Stream::Stdout),
            ("bad\n", Stream::Stderr),
            ("t\n", Stream::Stdout),
        ];
        for (text, stream) in records {
            let attributes =
                [("a b".to_owned(), "c/d".to_owned()), ("tag".to_owned(), "x".to_owned())].into();
            let record = Record { stream, at_ns: 1_500_000_000, text: text.into(), attributes };
            assert!(output.record(&record).is_continue());
        }
        assert_eq!(output.finish().unwrap(), 0);
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn streams_times_and_details() {
        assert_eq!(shown(&flags(false, false)), ("one\npart\n".to_owned(), "bad\n".to_owned()));
        let head = "1970-01-01T00:00:01.500000000Z a+b=c%2Fd,tag=x ";
        assert_eq!(shown(&flags(true, true)), (format!("{head}one\n{head}part\n"), format!("{head}bad\n")));
    }

    #[test]
    fn how_many() {
        assert_eq!((tail("all").unwrap(), tail("-1").unwrap(), tail("10").unwrap()), (None, None, Some(10)));
        assert!(tail("ten").unwrap_err().text().contains("\"ten\" is neither"));
    }
}
