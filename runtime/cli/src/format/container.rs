//! Containers in lists.

use sandbox_engine::state::containers::{Container, State};
use sandbox_template::{Shape, Struct};

use super::list::{self, Kind};
use super::{duration, text};

const COMMAND_WIDTH: usize = 20;
const NANOSECONDS: i64 = 1_000_000_000;

const ROW: Struct = list::row("*formatter.ContainerContext");
pub(crate) const KIND: Kind = Kind {
    shape: &Shape::Struct(&ROW),
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Names", "NAMES"),
    ],
};

/// The command as a quoted text, cut inside its quotes.
pub(crate) fn command(arguments: &[String]) -> String {
    let words: Vec<String> = arguments
        .iter()
        .enumerate()
        .map(|(n, word)| if n > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() })
        .collect();
    sandbox_template::quote(&text::ellipsis(&words.join(" "), COMMAND_WIDTH))
}

/// `2 weeks ago`
pub(crate) fn running_for(container: &Container, now_s: i64) -> String {
    format!("{} ago", since(Some(container.created_ns), now_s))
}

/// `Up 2 weeks`, `Exited (3) 2 weeks ago`
pub(crate) fn status(container: &Container, now_s: i64) -> String {
    match container.state {
        State::Created => "Created".to_owned(),
        State::Running => {
            format!("Up {}", since(container.started_ns.or(Some(container.created_ns)), now_s))
        }
        State::Exited => {
            let code = container.exit_code.unwrap_or(0);
            format!("Exited ({code}) {} ago", since(container.finished_ns, now_s))
        }
        State::Removing => "Removal In Progress".to_owned(),
    }
}

fn since(at_ns: Option<i64>, now_s: i64) -> String {
    let seconds = now_s - at_ns.map_or(now_s, |at| at / NANOSECONDS);
    duration::human(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example(state: State) -> Container {
        Container {
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
        }
    }

    #[test]
    fn states() {
        let now_s = 1_000_000 + 3 * 7 * 86400;
        let status = |state| status(&example(state), now_s);
        assert_eq!(status(State::Running), "Up 2 weeks");
        assert_eq!(status(State::Exited), "Exited (3) 2 weeks ago");
        assert_eq!(status(State::Created), "Created");
        assert_eq!(running_for(&example(State::Created), now_s), "2 weeks ago");
    }

    #[test]
    fn commands() {
        let command = |words: &[&str]| command(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(command(&["sh", "-c", "sleep 1000"]), "\"sh -c 'sleep 1000'\"");
        assert_eq!(command(&["sh", "-c", "echo \"x\"; sleep 1000"]), "\"sh -c 'echo \\\"x\\\"; sl…\"");
        assert_eq!(command(&[]), "\"\"");
    }
}
