//! `sandbox search`.

use sandbox_engine::Found;
use sandbox_template::{Shape, Struct};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::registry::SearchFlags;
use crate::flags::value;
use crate::format::list::{self, Format, Kind, Row};
use crate::format::{self, text};
use crate::interrupt::Interrupt;

const TABLE: &str = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
const DESCRIPTION_WIDTH: usize = 45;
/// Docker's number of results when none is asked for, and the most there is.
const DEFAULT_LIMIT: usize = 25;
const LARGEST_LIMIT: usize = 100;

const ROW: Struct = list::row("*registry.searchContext");
const KIND: Kind = Kind {
    shape: &Shape::Struct(&ROW),
    headers: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
    ],
};

pub(in crate::commands) fn run(global: &Global, flags: &SearchFlags) -> Result<u8, Failure> {
    let format = Format::parse(flags.format.as_deref(), TABLE).map_err(Failure::plain)?;
    let (limit, filter) = (limit(flags.limit)?, Filter::parse(flags)?);
    let _interrupt = Interrupt::watch()?;
    let mut found = crate::commands::registries(global)?.search(&flags.term, limit)?;
    found.retain(|one| filter.matches(one));
    let rows: Vec<Row> = found.iter().map(|one| row(one, flags)).collect();
    format::print(&format.render(KIND, &rows).map_err(Failure::plain)?)?;
    Ok(0)
}

fn limit(asked: i64) -> Result<usize, Failure> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_LIMIT),
        Ok(limit) if limit <= LARGEST_LIMIT => Ok(limit),
        _ => Err(Failure::engine(format!("limit {asked} is outside the range of [1, {LARGEST_LIMIT}]"))),
    }
}

/// `--filter`
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    official: Option<bool>,
    stars: u64,
}

impl Filter {
    fn parse(flags: &SearchFlags) -> Result<Filter, Failure> {
        let mut filter = Filter::default();
        for (key, value) in crate::commands::pairs(&flags.filter) {
            let invalid = || Failure::engine(format!("invalid filter '{key}={value}'"));
            match key {
                "is-official" => filter.official = Some(value::boolean(value).map_err(|_| invalid())?),
                "stars" => filter.stars = filter.stars.max(value.parse().map_err(|_| invalid())?),
                _ => return Err(Failure::engine(format!("invalid filter '{key}'"))),
            }
        }
        Ok(filter)
    }

    fn matches(&self, found: &Found) -> bool {
        self.official.is_none_or(|official| official == found.official) && found.stars >= self.stars
    }
}

fn row(found: &Found, flags: &SearchFlags) -> Row {
    let description = text::printable(&found.description);
    let description =
        if flags.no_trunc { description } else { text::ellipsis(&description, DESCRIPTION_WIDTH) };
    let official = match (flags.format.as_deref() == Some("json"), found.official) {
        (true, official) => official.to_string(),
        (false, true) => "[OK]".to_owned(),
        (false, false) => String::new(),
    };
    Row::new([
        ("Description", description),
        ("IsOfficial", official),
        ("Name", found.name.clone()),
        ("StarCount", found.stars.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(filter: &[&str]) -> SearchFlags {
        SearchFlags {
            filter: filter.iter().map(|text| text.parse().unwrap()).collect(),
            format: None,
            limit: 0,
            no_trunc: false,
            term: "alpine".to_owned(),
        }
    }

    fn found(name: &str, stars: u64, official: bool) -> Found {
        let description =
            "A minimal Docker image based on Alpine Linux with a complete package index".to_owned();
        Found { name: name.to_owned(), description, stars, official }
    }

    #[test]
    fn the_table() {
        let rows =
            [row(&found("alpine", 11000, true), &flags(&[])), row(&found("a/b", 3, false), &flags(&[]))];
        assert_eq!(
            Format::parse(None, TABLE).unwrap().render(KIND, &rows).unwrap(),
            "NAME      DESCRIPTION                                     STARS     OFFICIAL\n\
             alpine    A minimal Docker image based on Alpine Linux…   11000     [OK]\n\
             a/b       A minimal Docker image based on Alpine Linux…   3         \n"
        );
    }

    #[test]
    fn limits_and_filters() {
        assert_eq!((limit(0).unwrap(), limit(100).unwrap()), (25, 100));
        assert!(limit(101).is_err() && limit(-1).is_err());
        let filter = Filter::parse(&flags(&["stars=10", "is-official=true"])).unwrap();
        assert!(filter.matches(&found("a", 10, true)));
        assert!(!filter.matches(&found("a", 9, true)) && !filter.matches(&found("a", 10, false)));
        assert!(Filter::parse(&flags(&["stars=x"])).is_err() && Filter::parse(&flags(&["x=1"])).is_err());
    }
}
