//! `sandbox bench startup`: how long whole runs take, in each isolation, by the clocks of `--timings`.
//!
//! Each run is a whole command of its own, started as a user would start it, so that what is measured is
//! what people get. The isolations take turns, so that a machine that gets slower does so for all.

mod chart;
mod stats;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sandbox_engine::Isolation;
use serde::Serialize;

use crate::failure::Failure;
use crate::flags::{Global, StartupFlags};
use crate::format;
use crate::timings::{Clocks, Document};
use stats::Summary;

/// Reads one clock of a run.
type Clock = fn(&Clocks) -> Option<u64>;

/// The clocks in the order of a start, with what they are in each isolation.
const CLOCKS: [(&str, Clock); 4] = [
    ("init cloned / first KVM_RUN", |c| c.init_cloned.or(c.first_kvm_run)),
    ("pivoted / agent ready", |c| c.ready),
    ("first output", |c| c.first_output),
    ("ended and torn down", |c| c.total),
];
/// The name of the fifth: from outside, with the exec of the command.
const WALL: &str = "whole command";

/// One measured run.
#[derive(Debug, Clone, Serialize)]
struct Run {
    isolation: Isolation,
    /// From before the command was spawned until it was reaped, nanoseconds.
    wall_ns: u64,
    #[serde(flatten)]
    timings: Document,
}

/// All figures of one clock in one isolation.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    clock: &'static str,
    isolation: Isolation,
    summary: Summary,
    /// Ascending, nanoseconds.
    #[serde(skip)]
    values: Vec<u64>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    command: &'a [String],
    runs_per_isolation: u32,
    concurrency: u32,
    summaries: &'a [Series],
    runs: &'a [Run],
}

pub(crate) fn run(global: &Global, flags: &StartupFlags) -> Result<u8, Failure> {
    let directory = temporary_directory()?;
    let measured = measure(global, flags, &directory);
    // Only our own timing files are in there.
    let _ = std::fs::remove_dir_all(&directory);
    let runs = measured?;
    let series = series(&runs, &flags.isolation);
    let quiet = flags.json.as_deref() == Some(Path::new("-"));
    if !quiet {
        let title = format!(
            "{} runs each, {} at a time: {}\n\n",
            flags.runs,
            flags.concurrency,
            flags.image_and_command.join(" ")
        );
        format::print(&(title + &table(&series)))?;
    }
    if let Some(path) = &flags.json {
        let report = Report {
            command: &flags.image_and_command,
            runs_per_isolation: flags.runs,
            concurrency: flags.concurrency,
            summaries: &series,
            runs: &runs,
        };
        let json = serde_json::to_string_pretty(&report).map_err(Failure::plain)? + "\n";
        if quiet { format::print(&json)? } else { write(path, &json)? }
    }
    if let Some(path) = &flags.svg {
        write(path, &chart::draw(&series, &flags.image_and_command.join(" ")))?;
    }
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| Failure::plain(format!("write {}: {e}", path.display())))
}

fn temporary_directory() -> Result<std::path::PathBuf, Failure> {
    let directory = std::env::temp_dir().join(format!(
        "sandbox-bench.{}.{}",
        std::process::id(),
        sandbox_engine::monotonic_ns()
    ));
    rustix::fs::mkdir(&directory, rustix::fs::Mode::RWXU)
        .map_err(|e| Failure::plain(format!("create {}: {e}", directory.display())))?;
    Ok(directory)
}

/// Warms up, then runs everything with so many workers; the first failure ends it.
fn measure(global: &Global, flags: &StartupFlags, directory: &Path) -> Result<Vec<Run>, Failure> {
    for isolation in &flags.isolation {
        for _ in 0..flags.warm_up {
            once(global, flags, *isolation, &directory.join("warm-up"))?;
        }
    }
    let kinds = flags.isolation.len();
    let total = flags.runs as usize * kinds;
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::with_capacity(total), None));
    std::thread::scope(|scope| {
        for worker in 0..flags.concurrency {
            let (next, results) = (&next, &results);
            scope.spawn(move || {
                let file = directory.join(worker.to_string());
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= total {
                        return;
                    }
                    let run = once(global, flags, flags.isolation[at % kinds], &file);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    match run {
                        Ok(run) => results.0.push(run),
                        Err(failure) => {
                            results.1.get_or_insert(failure);
                            next.store(total, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (runs, failure) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(runs), Err)
}

fn once(global: &Global, flags: &StartupFlags, isolation: Isolation, file: &Path) -> Result<Run, Failure> {
    let exe = std::env::current_exe().map_err(|e| Failure::plain(format!("find our own executable: {e}")))?;
    let mut command = Command::new(exe);
    command
        .args(global.arguments())
        .args(["run", "--rm", "--isolation", isolation.as_str(), "--timings"])
        .arg(file)
        .args(&flags.image_and_command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let began = Instant::now();
    let output = command.output().map_err(|e| Failure::plain(format!("start a run: {e}")))?;
    let wall_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::plain(format!(
            "a run with --isolation={isolation} ended with {}: {}",
            output.status,
            text.trim()
        )));
    }
    let text = std::fs::read(file).map_err(|e| Failure::plain(format!("read {}: {e}", file.display())))?;
    let timings =
        serde_json::from_slice(&text).map_err(|e| Failure::plain(format!("timings of a run: {e}")))?;
    Ok(Run { isolation, wall_ns, timings })
}

fn series(runs: &[Run], isolations: &[Isolation]) -> Vec<Series> {
    let mut all = Vec::new();
    let mut add = |clock, isolation, mut values: Vec<u64>| {
        values.sort_unstable();
        all.extend(Summary::of(&values).map(|summary| Series { clock, isolation, summary, values }));
    };
    for (clock, of) in CLOCKS {
        for isolation in isolations {
            let of_isolation = runs.iter().filter(|run| run.isolation == *isolation);
            add(clock, *isolation, of_isolation.filter_map(|run| of(&run.timings.clocks)).collect());
        }
    }
    for isolation in isolations {
        let of_isolation = runs.iter().filter(|run| run.isolation == *isolation);
        add(WALL, *isolation, of_isolation.map(|run| run.wall_ns).collect());
    }
    all
}

/// The isolations of one clock beside each other, in milliseconds.
fn table(series: &[Series]) -> String {
    let mut table =
        format::table::Table::new(&["CLOCK (ms)", "ISOLATION", "p50", "p90", "p99", "min", "max"]);
    let mut last = "";
    for one in series {
        let name = if one.clock == last { "" } else { one.clock };
        last = one.clock;
        let s = &one.summary;
        let cells = [s.p50, s.p90, s.p99, s.min, s.max].map(milliseconds);
        let [p50, p90, p99, min, max] = &cells;
        table.row(&[name, one.isolation.as_str(), p50, p90, p99, min, max]);
    }
    table.to_string()
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn milliseconds(nanoseconds: u64) -> String {
    format!("{:.2}", nanoseconds as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(isolation: Isolation, total: u64) -> Run {
        let clocks = Clocks {
            first_kvm_run: (isolation == Isolation::Vm).then_some(total / 4),
            init_cloned: (isolation == Isolation::Process).then_some(total / 4),
            ready: Some(total / 2),
            first_output: None,
            total: Some(total),
        };
        Run { isolation, wall_ns: total + 1_000_000, timings: Document { isolation, clocks, phases: vec![] } }
    }

    #[test]
    fn side_by_side() {
        let runs = [
            example(Isolation::Process, 4_000_000),
            example(Isolation::Vm, 40_000_000),
            example(Isolation::Process, 8_000_000),
        ];
        let series = series(&runs, &[Isolation::Process, Isolation::Vm]);
        assert_eq!(series.len(), 8, "no run gave output");
        let text = table(&series);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "init cloned / first KVM_RUN   process     1.00      2.00      2.00      1.00      2.00"
        );
        assert_eq!(
            lines[2],
            "                              vm          10.00     10.00     10.00     10.00     10.00"
        );
        let svg = chart::draw(&series, "alpine true & <more>");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("alpine true &amp; &lt;more&gt;"));
        assert_eq!(svg.matches("<polyline").count(), 8);
    }
}
