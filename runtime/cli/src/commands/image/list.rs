//! `sandbox images`.

use sandbox_image::{ListedImage, Reference};
use sandbox_template::{Shape, Struct};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::ImagesFlags;
use crate::format::list::{self, Format, Kind, Row};
use crate::format::{self, duration, size};

const TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const WITH_DIGESTS: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const QUIET: &str = "{{.ID}}";
const NONE: &str = "<none>";
const UNKNOWN: &str = "N/A";

const ROW: Struct = list::row("*formatter.imageContext");
/// Images in lists, here and in `system df`.
pub(in crate::commands) const KIND: Kind = Kind {
    shape: &Shape::Struct(&ROW),
    headers: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ],
};

/// Words that are taken for a name of an image by mistake.
const COMMANDS: [&str; 13] = [
    "build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm", "save",
    "tag",
];

/// `short` is the command that people write `images ls` with.
pub(in crate::commands) fn run(global: &Global, flags: &ImagesFlags, short: bool) -> Result<u8, Failure> {
    let format = parse(flags)?;
    let engine = crate::commands::engine(global)?;
    let name = flags.name.as_deref().map(|name| ("reference", name));
    let filter = engine.image_filter(crate::commands::pairs(&flags.filter).chain(name))?;
    let mut images = engine.images(&filter)?;
    if let Some(name) = flags.name.as_deref()
        && images.is_empty()
        && short
        && COMMANDS.contains(&name)
    {
        eprintln!("No images found matching {name:?}: did you mean \"sandbox image {name}\"?");
    }
    if !flags.all && filter.dangling != Some(true) {
        images.retain(|image| image.reference.is_some());
    }
    let now_s = sandbox_engine::realtime_ns() / 1_000_000_000;
    format::print(&render(&format, &images, flags, now_s)?)?;
    Ok(0)
}

fn parse(flags: &ImagesFlags) -> Result<Format, Failure> {
    let default = match (flags.quiet, flags.digests) {
        (true, _) => QUIET,
        (_, true) => WITH_DIGESTS,
        (_, false) => TABLE,
    };
    let mut text = flags.format.clone();
    if let Some(text) = text.as_mut().filter(|text| text.len() > "table".len() && text.starts_with("table"))
        && flags.digests
        && !text.contains("{{.Digest}}")
    {
        text.push_str("\t{{.Digest}}");
    }
    Format::parse(text.as_deref(), default).map_err(Failure::plain)
}

fn render(
    format: &Format,
    images: &[ListedImage],
    flags: &ImagesFlags,
    now_s: i64,
) -> Result<String, Failure> {
    let asks_for_digests = flags.format.as_deref().is_some_and(|text| text.contains("{{.Digest}}"));
    let digests = flags.digests || asks_for_digests;
    let mut rows: Vec<Row> = images.iter().map(|image| row(image, digests, flags.no_trunc, now_s)).collect();
    if flags.quiet && flags.format.is_none() {
        // An image of two names is one image.
        let mut seen = std::collections::HashSet::new();
        let mut ids = images.iter().map(|image| seen.insert(&image.id));
        rows.retain(|_| ids.next().unwrap_or(true));
    }
    format.render(KIND, &rows).map_err(Failure::plain)
}

fn row(image: &ListedImage, digests: bool, whole: bool, now_s: i64) -> Row {
    let none = || NONE.to_owned();
    let reference = image.reference.as_ref();
    let digest = image.digest.as_ref().filter(|_| digests);
    Row::new([
        ("Containers", UNKNOWN.to_owned()),
        ("CreatedAt", image.created.map_or_else(|| UNKNOWN.to_owned(), duration::utc)),
        ("CreatedSince", created_since(image.created, now_s)),
        ("Digest", digest.map_or_else(none, ToString::to_string)),
        ("ID", if whole { image.id.to_string() } else { image.id.short().to_owned() }),
        ("Repository", reference.map_or_else(none, Reference::familiar_name)),
        ("SharedSize", UNKNOWN.to_owned()),
        ("Size", size::decimal(image.size, 3)),
        ("Tag", reference.and_then(Reference::tag).map_or_else(none, str::to_owned)),
        ("UniqueSize", UNKNOWN.to_owned()),
    ])
}

/// `3 weeks ago`
pub(in crate::commands) fn created_since(created: Option<i64>, now_s: i64) -> String {
    let age = |at| format!("{} ago", duration::human(u64::try_from(now_s - at).unwrap_or(0)));
    created.map_or_else(|| UNKNOWN.to_owned(), age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn flags() -> ImagesFlags {
        ImagesFlags {
            all: false,
            digests: false,
            filter: Vec::new(),
            format: None,
            no_trunc: false,
            quiet: false,
            name: None,
        }
    }

    fn image(name: Option<&str>, hex: char) -> ListedImage {
        let digest = |c: char| -> sandbox_image::Digest {
            format!("sha256:{}", c.to_string().repeat(64)).parse().unwrap()
        };
        ListedImage {
            reference: name.map(|n| n.parse().unwrap()),
            id: digest(hex),
            manifest: digest('f'),
            digest: (hex == 'b').then(|| digest('d')),
            created: Some(1_000_000),
            size: 8_310_000,
            labels: BTreeMap::new(),
        }
    }

    fn rendered(flags: &ImagesFlags) -> String {
        let images = [
            image(Some("alpine"), 'a'),
            image(Some("alpine:3.22"), 'a'),
            image(Some("localhost:5000/team/app:v1"), 'b'),
            image(None, 'c'),
        ];
        render(&parse(flags).unwrap(), &images, flags, 1_000_000 + 3 * 7 * 86400).unwrap()
    }

    #[test]
    fn the_classic_table() {
        assert_eq!(
            rendered(&flags()),
            "REPOSITORY                TAG       IMAGE ID       CREATED       SIZE\n\
             alpine                    latest    aaaaaaaaaaaa   3 weeks ago   8.31MB\n\
             alpine                    3.22      aaaaaaaaaaaa   3 weeks ago   8.31MB\n\
             localhost:5000/team/app   v1        bbbbbbbbbbbb   3 weeks ago   8.31MB\n\
             <none>                    <none>    cccccccccccc   3 weeks ago   8.31MB\n"
        );
    }

    #[test]
    fn digests() {
        let text = rendered(&ImagesFlags { digests: true, no_trunc: true, ..flags() });
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("REPOSITORY                TAG       DIGEST    "), "{text}");
        assert!(lines[1].contains("   latest    <none> "), "{text}");
        assert!(lines[3].contains(&format!("v1        sha256:{}   sha256:", "d".repeat(64))), "{text}");
        let format = Some("table {{.Tag}}".to_owned());
        let text = rendered(&ImagesFlags { digests: true, format, ..flags() });
        assert!(text.starts_with("TAG       DIGEST\nlatest    <none>\n"), "{text}");
    }

    #[test]
    fn ids_and_templates() {
        let text = rendered(&ImagesFlags { quiet: true, no_trunc: true, ..flags() });
        let ids = ['a', 'b', 'c'].map(|c| format!("sha256:{}\n", c.to_string().repeat(64)));
        assert_eq!(text, ids.concat());
        let format = |text: &str| ImagesFlags { format: Some(text.to_owned()), ..flags() };
        assert_eq!(rendered(&format("{{.Repository}}:{{.Tag}}")).lines().next(), Some("alpine:latest"));
        assert_eq!(
            rendered(&format("json")).lines().next().unwrap(),
            "{\"Containers\":\"N/A\",\"CreatedAt\":\"1970-01-12 13:46:40 +0000 UTC\",\"CreatedSince\":\"3 weeks \
             ago\",\"Digest\":\"<none>\",\"ID\":\"aaaaaaaaaaaa\",\"Repository\":\"alpine\",\"SharedSize\":\"N/A\",\
             \"Size\":\"8.31MB\",\"Tag\":\"latest\",\"UniqueSize\":\"N/A\"}"
        );
        assert!(parse(&format("{{.Tag")).is_err());
    }
}
