//! `sandbox ps`.

use sandbox_engine::{Engine, Listed, Query};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::containers::PsFlags;
use crate::format;
use crate::format::container::{self, KIND, Look};
use crate::format::list::{Format, Row};

const TABLE: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const WITH_SIZE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";
const QUIET: &str = "{{.ID}}";

pub(in crate::commands) fn run(global: &Global, flags: &PsFlags) -> Result<u8, Failure> {
    let text = template(flags);
    let format = Format::parse(Some(text), TABLE).map_err(Failure::plain)?;
    let engine = crate::commands::engine(global)?;
    let last = if flags.last < 0 && flags.latest { 1 } else { flags.last };
    let query = Query {
        all: flags.all,
        last: usize::try_from(last).ok().filter(|last| *last > 0),
        filter: engine.container_filter(crate::commands::pairs(&flags.filter))?,
    };
    let listed = engine.list(&query)?;
    let rows = rows(&engine, &listed, flags, Shown::of(text))?;
    format::print(&format.render(KIND, &rows).map_err(Failure::plain)?)?;
    Ok(0)
}

/// The format that is meant.
fn template(flags: &PsFlags) -> &str {
    let default = match (flags.quiet, flags.size) {
        (true, _) => QUIET,
        (_, true) => WITH_SIZE,
        _ => TABLE,
    };
    match flags.format.as_deref() {
        Some(format) if !flags.quiet && !format.is_empty() && format != "table" => format,
        _ => default,
    }
}

/// What has to be found out for a format: the rest would take its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    recipe: bool,
    image: bool,
    size: bool,
}

impl Shown {
    fn of(format: &str) -> Shown {
        let everything = format == "json" || format.contains("json .}}") || format.contains("{{.}}");
        let any = |names: &[&str]| everything || names.iter().any(|name| format.contains(name));
        Shown {
            recipe: any(&["Command", "Label", "LocalVolumes", "Mounts", "Networks"]),
            image: any(&["Image"]),
            size: format.contains(".Size"),
        }
    }
}

fn rows(engine: &Engine, listed: &[Listed], flags: &PsFlags, shown: Shown) -> Result<Vec<Row>, Failure> {
    let now_s = sandbox_engine::realtime_ns() / 1_000_000_000;
    let names = if shown.image && !listed.is_empty() {
        engine.image_names()?
    } else {
        sandbox_engine::ImageNames::default()
    };
    let mut rows = Vec::with_capacity(listed.len());
    for one in listed {
        let container = &one.view.container;
        let image = match (shown.image, flags.no_trunc) {
            (false, _) => String::new(),
            (true, whole) => names.shown(&container.image_name, &container.image_id, whole),
        };
        let sizes = if shown.size || flags.size { Some(engine.sizes(one)?) } else { None };
        let look = Look { image: &image, sizes, whole: flags.no_trunc, recipe: shown.recipe, now_s };
        rows.push(container::row(one, look));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_engine::state::containers::State;
    use sandbox_engine::{Recipe, Sizes};

    fn flags(format: Option<&str>) -> PsFlags {
        PsFlags {
            all: false,
            filter: Vec::new(),
            format: format.map(str::to_owned),
            last: -1,
            latest: false,
            no_trunc: false,
            quiet: false,
            size: false,
        }
    }

    fn rendered(flags: &PsFlags) -> String {
        let recipe = Recipe {
            arguments: ["sleep", "1000"].map(str::to_owned).to_vec(),
            labels: [("com.example.tier".to_owned(), "web".to_owned())].into(),
            ..Recipe::default()
        };
        let sizes = Some(Sizes { written: 2, whole: 21_500_000 });
        let rows: Vec<Row> = [State::Running, State::Exited]
            .map(|state| {
                let listed = Listed::of(container::tests::example(state), recipe.clone());
                let now_s = 1_000_000 + 3 * 7 * 86400;
                let look = Look { image: "alpine", sizes, whole: flags.no_trunc, recipe: true, now_s };
                container::row(&listed, look)
            })
            .into();
        Format::parse(Some(template(flags)), TABLE).unwrap().render(KIND, &rows).unwrap()
    }

    #[test]
    fn the_table() {
        assert_eq!(
            rendered(&flags(None)),
            "CONTAINER ID   IMAGE     COMMAND        CREATED       STATUS                   PORTS     NAMES\n\
             cccccccccccc   alpine    \"sleep 1000\"   2 weeks ago   Up 2 weeks                         web\n\
             cccccccccccc   alpine    \"sleep 1000\"   2 weeks ago   Exited (3) 2 weeks ago             web\n"
        );
        let text = rendered(&PsFlags { size: true, no_trunc: true, ..flags(Some("table")) });
        let line = text.lines().nth(1).unwrap();
        assert!(
            line.starts_with(&"c".repeat(64)) && line.ends_with("web       2B (virtual 21.5MB)"),
            "{text}"
        );
    }

    #[test]
    fn templates() {
        assert_eq!(
            rendered(&flags(Some("{{.ID}} {{.Label \"com.example.tier\"}}|{{.Label \"x\"}}"))).lines().next(),
            Some("cccccccccccc web|")
        );
        assert_eq!(
            rendered(&flags(Some("table {{.Isolation}}\\t{{.State}}\\t{{.Labels}}"))),
            "ISOLATION   STATE     LABELS\n\
             vm          running   com.example.tier=web\n\
             vm          exited    com.example.tier=web\n"
        );
        assert_eq!(
            rendered(&flags(Some("json"))).lines().next().unwrap(),
            "{\"Command\":\"\\\"sleep 1000\\\"\",\"CreatedAt\":\"1970-01-19 13:46:40 +0000 UTC\",\"HealthStatus\":\"\",\
             \"ID\":\"cccccccccccc\",\"Image\":\"alpine\",\"Isolation\":\"vm\",\"Labels\":\"com.example.tier=web\",\
             \"LocalVolumes\":\"0\",\"Mounts\":\"\",\"Names\":\"web\",\"Networks\":\"bridge\",\"Platform\":\"linux/amd64\",\
             \"Ports\":\"\",\"RunningFor\":\"2 weeks ago\",\"Size\":\"2B (virtual 21.5MB)\",\"State\":\"running\",\
             \"Status\":\"Up 2 weeks\"}"
        );
        assert_eq!(rendered(&PsFlags { quiet: true, ..flags(Some("json")) }), "cccccccccccc\ncccccccccccc\n");
    }

    #[test]
    fn only_what_is_shown_is_found_out() {
        assert_eq!(Shown::of(QUIET), Shown { recipe: false, image: false, size: false });
        assert_eq!(Shown::of(TABLE), Shown { recipe: true, image: true, size: false });
        assert_eq!(Shown::of("json"), Shown { recipe: true, image: true, size: false });
        assert_eq!(Shown::of("{{.Size}}"), Shown { recipe: false, image: false, size: true });
    }
}
