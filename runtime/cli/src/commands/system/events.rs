//! `sandbox events`.

use std::io::{self, Write};
use std::ops::ControlFlow;

use sandbox_engine::events::{self, Event, EventFilter, Options};
use sandbox_shim::calendar::Civil;
use sandbox_template::{Data, Field, Shape, Struct, Template};

use crate::commands::{moment, pairs, show};
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::events::EventsFlags;
use crate::format::text;

/// Docker's exit code for a format that is none.
const BAD_FORMAT: u8 = 64;

const ACTOR: Struct = Struct {
    name: "events.Actor",
    fields: &[Field::new("ID", Shape::Text), Field::new("Attributes", Shape::Map(&Shape::Text))],
};
/// Go's names of the fields beside those of the JSON.
const MESSAGE: Struct = Struct {
    name: "*events.Message",
    fields: &[
        Field { name: "Status", key: "status", shape: Shape::Text },
        Field { name: "ID", key: "id", shape: Shape::Text },
        Field { name: "From", key: "from", shape: Shape::Text },
        Field::new("Actor", Shape::Struct(&ACTOR)),
        Field { name: "Scope", key: "scope", shape: Shape::Text },
        Field { name: "Time", key: "time", shape: Shape::Number },
        Field { name: "TimeNano", key: "timeNano", shape: Shape::Number },
    ],
};

pub(in crate::commands) fn run(global: &Global, flags: &EventsFlags) -> Result<u8, Failure> {
    let format = Format::parse(flags.format.as_deref().unwrap_or_default())?;
    let options = Options {
        since_ns: moment("since", flags.since.as_deref())?,
        until_ns: moment("until", flags.until.as_deref())?,
        filter: EventFilter::parse(pairs(&flags.filter))?,
    };
    let engine = crate::commands::engine(global)?;
    let mut output = Output { format, out: io::BufWriter::new(io::stdout()), outcome: Ok(()), failure: None };
    events::read(&engine.paths().run_root, &options, &mut output)?;
    let Output { mut out, outcome, failure, .. } = output;
    match failure {
        Some(failure) => Err(failure),
        None => show(outcome.and_then(|()| out.flush())),
    }
}

#[derive(Debug)]
enum Format {
    Plain,
    Json,
    Template(Template),
}

impl Format {
    fn parse(text: &str) -> Result<Format, Failure> {
        match text {
            "" => Ok(Format::Plain),
            "json" | "{{json .}}" => Ok(Format::Json),
            text => {
                let template = Template::parse(text).map_err(wrong)?;
                Ok(Format::Template(template))
            }
        }
    }

    fn line(&self, event: &Event) -> Result<String, Failure> {
        match self {
            Format::Plain => Ok(plain(event)),
            Format::Json => Ok(json(event)),
            Format::Template(template) => {
                let value = serde_json::to_value(event).map_err(wrong)?;
                template
                    .execute(&Data { shape: &Shape::Struct(&MESSAGE), ..Data::new(&value) })
                    .map_err(wrong)
            }
        }
    }
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::plain(format!("Error parsing format: {error}")).code(BAD_FORMAT)
}

fn plain(event: &Event) -> String {
    let time = Civil::local(event.time_ns).rfc3339_fixed();
    let line = format!("{time} {} {} {}", event.kind, event.action, event.actor.id);
    let attributes: Vec<String> =
        event.actor.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let line = if attributes.is_empty() { line } else { format!("{line} ({})", attributes.join(", ")) };
    // Labels are an image's, which has no power over the terminal.
    text::printable(&line)
}

/// As Go marshals it: in the order of the fields, safe inside HTML.
fn json(event: &Event) -> String {
    let text = serde_json::to_string(event).unwrap_or_default();
    [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
        .iter()
        .fold(text, |text, (char, escape)| text.replace(*char, escape))
}

#[derive(Debug)]
struct Output<W> {
    format: Format,
    out: W,
    outcome: io::Result<()>,
    failure: Option<Failure>,
}

impl<W: Write> Output<W> {
    fn keep(&mut self, outcome: io::Result<()>) -> ControlFlow<()> {
        let flow = if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        self.outcome = outcome;
        flow
    }
}

impl<W: Write> events::Reader for Output<W> {
    fn event(&mut self, event: &Event) -> ControlFlow<()> {
        match self.format.line(event) {
            Ok(line) => {
                let outcome = writeln!(self.out, "{line}");
                self.keep(outcome)
            }
            Err(failure) => {
                self.failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }

    fn idle(&mut self) -> ControlFlow<()> {
        let outcome = self.out.flush();
        self.keep(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let labels = [("tier".to_owned(), "<web>\u{1b}".to_owned())].into();
        let container =
            sandbox_shim::events::Container { id: "abc", name: "front", image: "alpine", labels: &labels };
        let event = Event::container("start", &container, []);
        Event { time: 1_767_323_045, time_ns: 1_767_323_045_120_000_000, ..event }
    }

    #[test]
    fn the_line() {
        let line = Format::parse("").unwrap().line(&event()).unwrap();
        let time = Civil::local(event().time_ns).rfc3339_fixed();
        assert_eq!(line, format!("{time} container start abc (image=alpine, name=front, tier=<web> )"));
    }

    #[test]
    fn formats() {
        let formatted = |format: &str| Format::parse(format).unwrap().line(&event());
        assert_eq!(
            formatted("json").unwrap(),
            concat!(
                r#"{"status":"start","id":"abc","from":"alpine","Type":"container","Action":"start","#,
                r#""Actor":{"ID":"abc","Attributes":{"image":"alpine","name":"front","tier":"\u003cweb\u003e\u001b"}},"#,
                r#""scope":"local","time":1767323045,"timeNano":1767323045120000000}"#
            )
        );
        let template =
            "{{.Type}} {{.Action}} {{.Status}} {{.ID}} {{.From}} {{.Actor.Attributes.name}} {{.TimeNano}}";
        assert_eq!(
            formatted(template).unwrap(),
            "container start start abc alpine front 1767323045120000000"
        );
        assert!(formatted("{{.Nope}}").unwrap_err().text().contains("can't evaluate field Nope"));
        assert!(Format::parse("{{.Type").is_err());
    }
}
