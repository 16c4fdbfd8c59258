//! Containers in lists.

use sandbox_engine::{Isolation, Listed, Recipe, Sizes, View};
use sandbox_image::Platform;
use sandbox_template::{Shape, Struct};

use super::list::{self, Kind, Row};
use super::{duration, size, text};

const COMMAND_WIDTH: usize = 20;
const MOUNT_WIDTH: usize = 15;
const NANOSECONDS: i64 = 1_000_000_000;

const ROW: Struct = list::row("*formatter.ContainerContext");
pub(crate) const KIND: Kind = Kind {
    shape: &Shape::Struct(&ROW),
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
        ("RunningFor", "CREATED"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("HealthStatus", "HEALTH STATUS"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
        ("Ports", "PORTS"),
        ("Isolation", "ISOLATION"),
    ],
};

/// What a row shows besides what the list has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    /// The image's name, as it is to be shown.
    pub(crate) image: &'a str,
    pub(crate) sizes: Option<Sizes>,
    /// Whole ids, commands and names of mounts.
    pub(crate) whole: bool,
    /// Whether anything of what it was made from is shown.
    pub(crate) recipe: bool,
    pub(crate) now_s: i64,
}

/// A row of `ps`.
pub(crate) fn row(listed: &Listed, look: Look<'_>) -> Row {
    let view = &listed.view;
    let container = &view.container;
    let none = Recipe::default();
    let recipe = if look.recipe { listed.recipe().unwrap_or(&none) } else { &none };
    let labels: Vec<String> = recipe.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let sizes = look.sizes.unwrap_or_default();
    let written = size::decimal(sizes.written, 3);
    let whole_size = match sizes.whole {
        0 => written,
        whole => format!("{written} (virtual {})", size::decimal(whole, 3)),
    };
    Row::new([
        ("Command", command(&recipe.arguments, look.whole)),
        ("CreatedAt", duration::utc(container.created_ns / NANOSECONDS)),
        ("HealthStatus", health(view)),
        ("ID", if look.whole { container.id.clone() } else { short(&container.id) }),
        ("Image", look.image.to_owned()),
        ("Isolation", isolation(container.isolation)),
        ("Labels", text::printable(&labels.join(","))),
        ("LocalVolumes", recipe.mounts.iter().filter(|mount| mount.is_volume()).count().to_string()),
        ("Mounts", mounts(recipe, look.whole)),
        ("Names", container.name.clone()),
        ("Networks", recipe.request.network.name().to_owned()),
        ("Platform", Platform::host().to_string()),
        ("Ports", String::new()),
        ("RunningFor", running_for(view, look.now_s)),
        ("Size", whole_size),
        ("State", view.state().to_owned()),
        ("Status", status(view, look.now_s)),
    ])
    .with_labels(recipe.labels.clone())
}

pub(crate) fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

/// Nothing without checks.
fn health(view: &View) -> String {
    Some(view.health()).filter(|health| *health != "none").unwrap_or_default().to_owned()
}

fn isolation(isolation: Isolation) -> String {
    isolation.as_str().to_owned()
}

fn mounts(recipe: &Recipe, whole: bool) -> String {
    let names =
        recipe.mounts.iter().map(sandbox_engine::spec::Resolved::name).filter(|name| !name.is_empty());
    let cut = |name: String| if whole { name } else { text::ellipsis(&name, MOUNT_WIDTH) };
    names.map(cut).collect::<Vec<_>>().join(",")
}

/// The command as a quoted text, cut inside its quotes unless it is to be whole.
pub(crate) fn command(arguments: &[String], whole: bool) -> String {
    let words: Vec<String> = arguments
        .iter()
        .enumerate()
        .map(|(n, word)| if n > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() })
        .collect();
    let words = words.join(" ");
    sandbox_template::quote(&if whole { words } else { text::ellipsis(&words, COMMAND_WIDTH) })
}

/// `2 weeks ago`
pub(crate) fn running_for(view: &View, now_s: i64) -> String {
    format!("{} ago", since(Some(view.container.created_ns), now_s))
}

/// `Up 2 weeks`, `Exited (3) 2 weeks ago`
pub(crate) fn status(view: &View, now_s: i64) -> String {
    let up = || since(view.started_ns().or(Some(view.container.created_ns)), now_s);
    let (code, ended) = (view.exit_code(), || since(view.finished_ns(), now_s));
    match view.state() {
        "running" => match view.health() {
            "none" => format!("Up {}", up()),
            "starting" => format!("Up {} (health: starting)", up()),
            health => format!("Up {} ({health})", up()),
        },
        "paused" => format!("Up {} (Paused)", up()),
        "restarting" => format!("Restarting ({code}) {} ago", ended()),
        "exited" => format!("Exited ({code}) {} ago", ended()),
        "removing" => "Removal In Progress".to_owned(),
        _ => "Created".to_owned(),
    }
}

fn since(at_ns: Option<i64>, now_s: i64) -> String {
    let seconds = now_s - at_ns.map_or(now_s, |at| at / NANOSECONDS);
    duration::human(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sandbox_engine::state::containers::{Container, State};
    use sandbox_shim::status::{Phase, Status, Verdict};
    use sandbox_shim::wire::Exit;

    pub(crate) fn example(state: State) -> View {
        let container = Container {
            id: "c".repeat(64),
            name: "web".to_owned(),
            image_id: format!("sha256:{}", "a".repeat(64)),
            image_name: "alpine".to_owned(),
            isolation: sandbox_engine::Isolation::Vm,
            state,
            auto_remove: false,
            created_ns: 1_604_800 * NANOSECONDS,
            started_ns: Some(1_604_800 * NANOSECONDS),
            finished_ns: Some(1_604_800 * NANOSECONDS),
            exit_code: Some(3),
            oom_killed: false,
            error: None,
            run_dir: String::new(),
            cgroup: None,
            stopped: false,
        };
        let phase = Phase::Running;
        View { container, status: (state == State::Running).then(|| Status { phase, ..Status::default() }) }
    }

    #[test]
    fn states() {
        let now_s = 1_000_000 + 3 * 7 * 86400;
        let of = |state| status(&example(state), now_s);
        assert_eq!(of(State::Running), "Up 2 weeks");
        assert_eq!(of(State::Exited), "Exited (3) 2 weeks ago");
        assert_eq!(of(State::Created), "Created");
        assert_eq!(of(State::Removing), "Removal In Progress");
        assert_eq!(running_for(&example(State::Created), now_s), "2 weeks ago");
    }

    #[test]
    fn what_the_supervisor_says_goes_before_the_row() {
        let at = |seconds: i64| Some(seconds * NANOSECONDS);
        let exit = Some(Exit { code: 7, oom_killed: false, error: None });
        let of = |phase| {
            let finished_ns = at(1_604_900);
            let word = Status {
                phase,
                started_ns: at(1_604_860),
                finished_ns,
                exit: exit.clone(),
                ..Status::default()
            };
            let view = View { status: Some(word), ..example(State::Running) };
            status(&view, 1_604_902)
        };
        let verdict = |verdict| {
            let health = Some(sandbox_shim::status::Health { verdict, ..Default::default() });
            let word =
                Status { phase: Phase::Running, started_ns: at(1_604_860), health, ..Status::default() };
            status(&View { status: Some(word), ..example(State::Running) }, 1_604_902)
        };
        assert_eq!(verdict(Verdict::Starting), "Up 42 seconds (health: starting)");
        assert_eq!(verdict(Verdict::Healthy), "Up 42 seconds (healthy)");
        assert_eq!(of(Phase::Starting), "Created");
        assert_eq!(of(Phase::Running), "Up 42 seconds");
        assert_eq!(of(Phase::Paused), "Up 42 seconds (Paused)");
        assert_eq!(of(Phase::Restarting), "Restarting (7) 2 seconds ago");
        assert_eq!(of(Phase::Exited), "Exited (7) 2 seconds ago");
    }

    #[test]
    fn commands() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let cut = |text: &[&str]| command(&words(text), false);
        assert_eq!(cut(&["sh", "-c", "sleep 1000"]), "\"sh -c 'sleep 1000'\"");
        assert_eq!(cut(&["sh", "-c", "echo \"x\"; sleep 1000"]), "\"sh -c 'echo \\\"x\\\"; sl…\"");
        assert_eq!(cut(&[]), "\"\"");
        assert_eq!(command(&words(&["a", &"b".repeat(30)]), true), format!("\"a {}\"", "b".repeat(30)));
    }
}
