//! `sandbox history`.

use sandbox_image::HistoryEntry;
use sandbox_template::{Shape, Struct};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::HistoryFlags;
use crate::format::list::{self, Format, Kind, Row};
use crate::format::{self, duration, size, text};

const HUMAN: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const EXACT: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const QUIET: &str = "{{.ID}}";
const CREATED_BY_WIDTH: usize = 45;
/// Times up to here, seconds since 1970, are those of builds that hide theirs: 2000-01-01.
const EPOCH: i64 = 946_684_800;

const ROW: Struct = list::row("*image.historyContext");
const KIND: Kind = Kind {
    shape: &Shape::Struct(&ROW),
    headers: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
};

pub(in crate::commands) fn run(global: &Global, flags: &HistoryFlags) -> Result<u8, Failure> {
    let format = parse(flags)?;
    let history = crate::commands::engine(global)?.history(&flags.image)?;
    let now_s = sandbox_engine::realtime_ns() / 1_000_000_000;
    format::print(&render(&format, &history, flags, now_s)?)?;
    Ok(0)
}

fn parse(flags: &HistoryFlags) -> Result<Format, Failure> {
    let default = match (flags.quiet, flags.human) {
        (true, _) => QUIET,
        (_, true) => HUMAN,
        (_, false) => EXACT,
    };
    Format::parse(flags.format.as_deref(), default).map_err(Failure::plain)
}

fn render(
    format: &Format,
    history: &[HistoryEntry],
    flags: &HistoryFlags,
    now_s: i64,
) -> Result<String, Failure> {
    let rows: Vec<Row> = history.iter().map(|entry| row(entry, flags, now_s)).collect();
    format.render(KIND, &rows).map_err(Failure::plain)
}

fn row(entry: &HistoryEntry, flags: &HistoryFlags, now_s: i64) -> Row {
    let id = entry.id.as_ref().map_or_else(
        || "<missing>".to_owned(),
        |id| if flags.no_trunc { id.to_string() } else { id.short().to_owned() },
    );
    let created = entry.created.unwrap_or(0);
    let created_at = duration::rfc3339(created);
    let created_since = match flags.human {
        false => created_at.clone(),
        true if created <= EPOCH => "N/A".to_owned(),
        true => format!("{} ago", duration::human(u64::try_from(now_s - created).unwrap_or(0))),
    };
    let created_by = text::printable(&entry.created_by);
    Row::new([
        ("ID", id),
        ("CreatedSince", created_since),
        ("CreatedAt", created_at),
        (
            "CreatedBy",
            if flags.no_trunc { created_by } else { text::ellipsis(&created_by, CREATED_BY_WIDTH) },
        ),
        ("Size", if flags.human { size::decimal(entry.size, 3) } else { entry.size.to_string() }),
        ("Comment", text::printable(&entry.comment)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> HistoryFlags {
        HistoryFlags { format: None, human: true, no_trunc: false, quiet: false, image: String::new() }
    }

    fn rendered(flags: &HistoryFlags) -> String {
        let history = [
            HistoryEntry {
                id: Some(format!("sha256:{}", "a".repeat(64)).parse().unwrap()),
                created: Some(1_752_612_488),
                created_by: "CMD [\"/bin/sh\"]".to_owned(),
                size: 0,
                comment: "buildkit.dockerfile.v0".to_owned(),
                tags: vec!["alpine:latest".to_owned()],
            },
            HistoryEntry {
                id: None,
                created: None,
                created_by: "ADD\talpine-minirootfs-3.22.1-x86_64.tar.gz / #\u{1b}[31m buildkit".to_owned(),
                size: 8_310_000,
                comment: String::new(),
                tags: vec![],
            },
        ];
        render(&parse(flags).unwrap(), &history, flags, 1_752_612_488 + 3 * 7 * 86400).unwrap()
    }

    #[test]
    fn the_table() {
        assert_eq!(
            rendered(&flags()),
            "IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT\n\
             aaaaaaaaaaaa   3 weeks ago   CMD [\"/bin/sh\"]                                 0B        buildkit.dockerfile.v0\n\
             <missing>      N/A           ADD alpine-minirootfs-3.22.1-x86_64.tar.gz /…   8.31MB    \n"
        );
    }

    #[test]
    fn exact_figures_and_whole_texts() {
        let exact = HistoryFlags { human: false, no_trunc: true, ..flags() };
        let text = rendered(&exact);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("CREATED AT"), "{text}");
        assert!(
            lines[1].starts_with(&format!("sha256:{}   2025-07-15T20:48:08Z   CMD", "a".repeat(64))),
            "{text}"
        );
        assert!(lines[2].contains("1970-01-01T00:00:00Z") && lines[2].contains("8310000"), "{text}");
        assert!(!text.contains('\u{1b}'), "an image cannot write to the terminal");
    }

    #[test]
    fn quiet_and_json() {
        assert_eq!(rendered(&HistoryFlags { quiet: true, ..flags() }), "aaaaaaaaaaaa\n<missing>\n");
        let json = rendered(&HistoryFlags { format: Some("json".to_owned()), ..flags() });
        assert_eq!(
            json.lines().next().unwrap(),
            "{\"Comment\":\"buildkit.dockerfile.v0\",\"CreatedAt\":\"2025-07-15T20:48:08Z\",\"CreatedBy\":\"CMD \
             [\\\"/bin/sh\\\"]\",\"CreatedSince\":\"3 weeks ago\",\"ID\":\"aaaaaaaaaaaa\",\"Size\":\"0B\"}"
        );
    }
}
