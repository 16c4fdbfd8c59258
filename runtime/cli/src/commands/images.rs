//! `sandbox images`.

use std::collections::BTreeMap;

use sandbox_image::{ListedImage, Reference};

use crate::failure::Failure;
use crate::flags::{Global, ImagesFlags};
use crate::format::{self, duration, size, table::Table, template::Template};

pub(super) fn run(global: &Global, flags: &ImagesFlags) -> Result<u8, Failure> {
    let template = flags.format.as_deref().map(Template::parse).transpose().map_err(Failure::plain)?;
    let engine = super::engine(global)?;
    let mut images = engine.images()?;
    if let Some(filter) = &flags.filter {
        let wanted: Reference = filter.parse().map_err(Failure::plain)?;
        let has_tag = filter.rsplit('/').next().is_some_and(|last| last.contains(':'));
        images.retain(|image| matches(image, &wanted, has_tag));
        if images.is_empty() && filter == "ls" {
            eprintln!("No images found matching \"ls\": did you mean \"sandbox images\"?");
        }
    }
    let dangling_named = flags.filter.is_none() || flags.all;
    images.retain(|image| image.reference.is_some() || dangling_named);
    let now_s = sandbox_engine::realtime_ns() / 1_000_000_000;
    let rows: Vec<Row> = images.iter().map(|image| Row::new(image, flags, now_s)).collect();
    format::print(&render(&rows, flags, template.as_ref())?)?;
    Ok(0)
}

fn matches(image: &ListedImage, wanted: &Reference, has_tag: bool) -> bool {
    image.reference.as_ref().is_some_and(|reference| {
        reference.repository() == wanted.repository() && (!has_tag || reference.tag() == wanted.tag())
    })
}

/// One image as it is shown.
#[derive(Debug)]
struct Row {
    repository: String,
    tag: String,
    digest: String,
    id: String,
    created_since: String,
    created_at: String,
    size: String,
}

impl Row {
    fn new(image: &ListedImage, flags: &ImagesFlags, now_s: i64) -> Row {
        let none = || "<none>".to_owned();
        let reference = image.reference.as_ref();
        let created_since = image.created.map_or_else(
            || "N/A".to_owned(),
            |at| format!("{} ago", duration::human(u64::try_from(now_s - at).unwrap_or(0))),
        );
        Row {
            repository: reference.map_or_else(none, Reference::familiar_name),
            tag: reference.and_then(Reference::tag).map_or_else(none, str::to_owned),
            digest: image.manifest.to_string(),
            id: if flags.no_trunc { image.id.to_string() } else { image.id.short().to_owned() },
            created_since,
            created_at: image.created.map_or_else(|| "N/A".to_owned(), duration::utc),
            size: size::decimal(image.size, 3),
        }
    }

    fn fields(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("Containers", "N/A".to_owned()),
            ("CreatedAt", self.created_at.clone()),
            ("CreatedSince", self.created_since.clone()),
            ("Digest", self.digest.clone()),
            ("ID", self.id.clone()),
            ("Repository", self.repository.clone()),
            ("SharedSize", "N/A".to_owned()),
            ("Size", self.size.clone()),
            ("Tag", self.tag.clone()),
            ("UniqueSize", "N/A".to_owned()),
        ])
    }
}

/// Headers of a `table` template.
const HEADERS: [(&str, &str); 10] = [
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("SharedSize", "SHARED SIZE"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
    ("UniqueSize", "UNIQUE SIZE"),
];

fn render(rows: &[Row], flags: &ImagesFlags, template: Option<&Template>) -> Result<String, Failure> {
    if let Some(template) = template {
        let fields: Vec<_> = rows.iter().map(Row::fields).collect();
        return template.render(&fields, &HEADERS).map_err(Failure::plain);
    }
    if flags.quiet {
        // An image of two names is one image.
        let mut seen = Vec::new();
        for row in rows.iter().filter(|row| !row.id.is_empty()) {
            if !seen.contains(&row.id.as_str()) {
                seen.push(&row.id);
            }
        }
        return Ok(seen.into_iter().flat_map(|id| [id, "\n"]).collect());
    }
    let mut header = vec!["REPOSITORY", "TAG"];
    if flags.digests {
        header.push("DIGEST");
    }
    header.extend(["IMAGE ID", "CREATED", "SIZE"]);
    let mut table = Table::new(&header);
    for row in rows {
        let mut cells = vec![row.repository.as_str(), &row.tag];
        if flags.digests {
            cells.push(&row.digest);
        }
        cells.extend([row.id.as_str(), &row.created_since, &row.size]);
        table.row(&cells);
    }
    Ok(table.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> ImagesFlags {
        ImagesFlags { filter: None, all: false, digests: false, format: None, no_trunc: false, quiet: false }
    }

    fn image(name: Option<&str>, hex: char) -> ListedImage {
        let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64)).parse().unwrap();
        ListedImage {
            reference: name.map(|n| n.parse().unwrap()),
            id: digest(hex),
            manifest: digest('f'),
            digest: None,
            created: Some(1_000_000),
            size: 8_310_000,
            labels: BTreeMap::new(),
        }
    }

    fn rows(flags: &ImagesFlags) -> Vec<Row> {
        let now = 1_000_000 + 3 * 7 * 86400;
        [image(Some("alpine"), 'a'), image(Some("localhost:5000/team/app:v1"), 'b'), image(None, 'c')]
            .iter()
            .map(|i| Row::new(i, flags, now))
            .collect()
    }

    #[test]
    fn the_classic_table() {
        let flags = flags();
        assert_eq!(
            render(&rows(&flags), &flags, None).unwrap(),
            "REPOSITORY                TAG       IMAGE ID       CREATED       SIZE\n\
             alpine                    latest    aaaaaaaaaaaa   3 weeks ago   8.31MB\n\
             localhost:5000/team/app   v1        bbbbbbbbbbbb   3 weeks ago   8.31MB\n\
             <none>                    <none>    cccccccccccc   3 weeks ago   8.31MB\n"
        );
        assert_eq!(render(&[], &flags, None).unwrap(), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    }

    #[test]
    fn ids_and_templates() {
        let quiet = ImagesFlags { quiet: true, no_trunc: true, ..flags() };
        let text = render(&rows(&quiet)[..1], &quiet, None).unwrap();
        assert_eq!(text, format!("sha256:{}\n", "a".repeat(64)));
        let template = Template::parse("{{.Repository}}:{{.Tag}}").unwrap();
        let flags = flags();
        let text = render(&rows(&flags)[..1], &flags, Some(&template)).unwrap();
        assert_eq!(text, "alpine:latest\n");
        let json = render(&rows(&flags)[..1], &flags, Some(&Template::parse("json").unwrap())).unwrap();
        assert!(
            json.starts_with("{\"Containers\":\"N/A\",\"CreatedAt\":\"1970-01-12 13:46:40 +0000 UTC\""),
            "{json}"
        );
    }

    #[test]
    fn filters() {
        let wanted: Reference = "alpine".parse().unwrap();
        assert!(matches(&image(Some("alpine:3.22"), 'a'), &wanted, false));
        assert!(!matches(&image(Some("alpine:3.22"), 'a'), &wanted, true));
        assert!(!matches(&image(Some("library/other"), 'a'), &wanted, false));
        assert!(!matches(&image(None, 'a'), &wanted, false));
    }
}
