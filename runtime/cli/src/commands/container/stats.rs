//! `sandbox stats`: what containers use, from two looks a second apart, again and again.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use sandbox_container::Usage;
use sandbox_engine::state::containers::Container;
use sandbox_engine::{Engine, Error, Query};
use sandbox_template::{Shape, Struct};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::containers::StatsFlags;
use crate::format::list::{self, Format, Kind, Row};
use crate::format::{self, container::short, size};

const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";
const INTERVAL: Duration = Duration::from_secs(1);
/// Clears the screen and goes to its beginning.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

const ROW: Struct = list::row("*container.statsContext");
const KIND: Kind = Kind {
    shape: &Shape::Struct(&ROW),
    headers: &[
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
};

/// The figures of one look.
#[derive(Debug, Clone, Default)]
struct Look {
    usage: Usage,
    /// When, by our clock.
    at_ns: u64,
}

/// What is known of a container.
#[derive(Debug, Clone)]
enum Seen {
    Running(Box<Look>),
    /// Nothing is used.
    Ended,
    /// It was asked and did not answer.
    Unknown,
}

pub(in crate::commands) fn run(global: &Global, flags: &StatsFlags) -> Result<u8, Failure> {
    let format = Format::parse(flags.format.as_deref(), TABLE).map_err(Failure::plain)?;
    let engine = crate::commands::engine(global)?;
    for name in &flags.containers {
        engine.find(name)?;
    }
    let mut before = looks(&engine, flags)?;
    let clear = !flags.no_stream && std::io::stdout().is_terminal();
    loop {
        std::thread::sleep(INTERVAL);
        let now = looks(&engine, flags)?;
        let text = format.render(KIND, &rows(&before, &now, !flags.no_trunc)).map_err(Failure::plain)?;
        format::print(&if clear { format!("{CLEAR}{text}") } else { text })?;
        if flags.no_stream || now.is_empty() && !flags.containers.is_empty() {
            return Ok(0);
        }
        before = now;
    }
}

/// One look at each container: how it is called by who asks, what it is, what it uses.
type Looks = Vec<(String, Container, Seen)>;

fn looks(engine: &Engine, flags: &StatsFlags) -> Result<Looks, Failure> {
    let mut looks = Vec::new();
    if flags.containers.is_empty() {
        for listed in engine.list(&Query { all: flags.all, ..Query::default() })? {
            let container = listed.view.container;
            looks.push((short(&container.id), container));
        }
    } else {
        for name in &flags.containers {
            match engine.find(name) {
                Ok(container) => looks.push((name.clone(), container)),
                // Removed meanwhile.
                Err(Error::NoSuchContainer(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(looks
        .into_iter()
        .map(|(name, container)| {
            let seen = look(engine, &container);
            (name, container, seen)
        })
        .collect())
}

fn look(engine: &Engine, container: &Container) -> Seen {
    match engine.figures(container) {
        // What it costs the host besides is not the container's use.
        Ok(figures) => {
            Seen::Running(Box::new(Look { usage: figures.container, at_ns: sandbox_engine::monotonic_ns() }))
        }
        Err(Error::NotRunning(_)) => Seen::Ended,
        Err(_) => Seen::Unknown,
    }
}

fn rows(before: &Looks, now: &Looks, cut: bool) -> Vec<Row> {
    let earlier: HashMap<&str, &Seen> =
        before.iter().map(|(_, container, seen)| (container.id.as_str(), seen)).collect();
    now.iter()
        .map(|(name, container, seen)| {
            let figures = figures(earlier.get(container.id.as_str()).copied(), seen);
            let id = if cut { short(&container.id) } else { container.id.clone() };
            Row::new([
                ("BlockIO", figures.block_io),
                ("CPUPerc", figures.cpu),
                ("Container", name.clone()),
                ("ID", id),
                ("MemPerc", figures.memory_share),
                ("MemUsage", figures.memory),
                ("Name", container.name.clone()),
                ("NetIO", figures.network_io),
                ("PIDs", figures.pids),
            ])
        })
        .collect()
}

struct Figures {
    cpu: String,
    memory: String,
    memory_share: String,
    network_io: String,
    block_io: String,
    pids: String,
}

fn figures(before: Option<&Seen>, now: &Seen) -> Figures {
    let now = match now {
        Seen::Running(look) => (**look).clone(),
        Seen::Ended => Look::default(),
        Seen::Unknown => {
            let none = || "--".to_owned();
            return Figures {
                cpu: none(),
                memory: "-- / --".to_owned(),
                memory_share: none(),
                network_io: none(),
                block_io: none(),
                pids: none(),
            };
        }
    };
    let usage = &now.usage;
    let stats = &usage.stats;
    let current = stats.memory_current.unwrap_or(0);
    let cache = stats.memory_inactive_file.filter(|cache| *cache < current).unwrap_or(0);
    let (used, limit) = (current - cache, stats.memory_limit.or(usage.memory_total).unwrap_or(0));
    let pair =
        |read: u64, written: u64| format!("{} / {}", size::decimal(read, 3), size::decimal(written, 3));
    let sum = |counter: fn(&sandbox_container::InterfaceUsage) -> u64| {
        usage.interfaces.iter().map(counter).fold(0, u64::saturating_add)
    };
    let cpu = match before {
        Some(Seen::Running(before)) => cpu_percent(before, &now),
        _ => 0.0,
    };
    Figures {
        cpu: format!("{cpu:.2}%"),
        memory: format!("{} / {}", size::binary(used), size::binary(limit)),
        memory_share: format!("{:.2}%", ratio(used, limit) * 100.0),
        network_io: pair(sum(|interface| interface.rx_bytes), sum(|interface| interface.tx_bytes)),
        block_io: pair(stats.io_read_bytes.unwrap_or(0), stats.io_write_bytes.unwrap_or(0)),
        pids: stats.pids_current.unwrap_or(0).to_string(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "two digits behind the point are shown")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Docker's: the container's part of what all CPUs did, times their number. Where the machine's own time is not told, ours
/// is as good.
fn cpu_percent(before: &Look, now: &Look) -> f64 {
    let used = |look: &Look| look.usage.stats.cpu_usage_usec.unwrap_or(0);
    let delta = used(now).saturating_sub(used(before));
    let machine = match (before.usage.system_cpu_usec, now.usage.system_cpu_usec) {
        (Some(before), Some(now)) if now > before => Some(now - before),
        _ => None,
    };
    match (machine, now.usage.online_cpus) {
        (Some(machine), Some(cpus)) => ratio(delta, machine) * f64::from(cpus) * 100.0,
        _ => ratio(delta, now.at_ns.saturating_sub(before.at_ns) / 1000) * 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_container::InterfaceUsage;
    use sandbox_engine::state::containers::State;

    fn look(cpu_usec: u64, system_usec: Option<u64>, at_ns: u64) -> Seen {
        let mut usage = Usage {
            online_cpus: system_usec.map(|_| 2),
            system_cpu_usec: system_usec,
            memory_total: Some(1_030_225_100),
            interfaces: vec![InterfaceUsage {
                rx_bytes: 539_000,
                tx_bytes: 606_000,
                ..InterfaceUsage::default()
            }],
            ..Usage::default()
        };
        usage.stats.cpu_usage_usec = Some(cpu_usec);
        usage.stats.memory_current = Some(2_466_250 + 1000);
        usage.stats.memory_inactive_file = Some(1000);
        usage.stats.io_read_bytes = Some(1_500_000);
        usage.stats.pids_current = Some(3);
        Seen::Running(Box::new(Look { usage, at_ns }))
    }

    fn table(before: Seen, now: Seen) -> String {
        let container = || format::container::tests::example(State::Running).container;
        let looks = |seen| vec![("web".to_owned(), container(), seen)];
        let rows = rows(&looks(before), &looks(now), true);
        Format::parse(None, TABLE).unwrap().render(KIND, &rows).unwrap()
    }

    #[test]
    fn the_table() {
        let header = "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT     MEM %     NET I/O         BLOCK I/O    PIDS\n";
        let by_machine = table(look(100_000, Some(1_000_000), 0), look(350_000, Some(2_000_000), 1));
        assert_eq!(
            by_machine,
            format!(
                "{header}cccccccccccc   web       50.00%    2.352MiB / 982.5MiB   0.24%     539kB / 606kB   1.5MB / 0B   3\n"
            )
        );
        let by_clock = table(look(100_000, None, 0), look(350_000, None, 1_000_000_000));
        assert!(by_clock.contains(" 25.00% "), "{by_clock}");
    }

    #[test]
    fn of_what_does_not_run_or_does_not_answer() {
        let ended = table(Seen::Ended, Seen::Ended);
        let cells: Vec<&str> =
            ended.lines().nth(1).unwrap().split("   ").map(str::trim).filter(|c| !c.is_empty()).collect();
        assert_eq!(cells, ["cccccccccccc", "web", "0.00%", "0B / 0B", "0.00%", "0B / 0B", "0B / 0B", "0"]);
        let silent = table(Seen::Ended, Seen::Unknown);
        assert!(silent.contains("--        -- / --"), "{silent}");
    }
}
