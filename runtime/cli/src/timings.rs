//! `--timings FILE`: the four clocks of a start with their phases, as JSON.
//!
//! All times are nanoseconds of CLOCK_MONOTONIC since the command began. For `vm` the clocks are the first
//! `KVM_RUN`, the agent's readiness, the first byte of output, and the end of everything; for `process` the
//! first two are the clone of the init and its `pivot_root`.

use std::path::Path;

use sandbox_engine::Isolation;
use sandbox_shim::wire::Stamp;
use serde::{Deserialize, Serialize};

/// What happened when.
#[derive(Debug)]
pub(crate) struct Timings {
    start_ns: u64,
    phases: Vec<Stamp>,
    end_ns: u64,
}

/// The content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) isolation: Isolation,
    pub(crate) clocks: Clocks,
    pub(crate) phases: Vec<Phase>,
}

/// The four clocks; None where the run did not come so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Clocks {
    /// `vm` only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) first_kvm_run: Option<u64>,
    /// `process` only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) init_cloned: Option<u64>,
    /// `agent_ready` (vm) or `pivoted` (process).
    pub(crate) ready: Option<u64>,
    pub(crate) first_output: Option<u64>,
    pub(crate) total: Option<u64>,
}

/// One phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) at_ns: u64,
}

impl Timings {
    pub(crate) fn new(start_ns: u64) -> Timings {
        let phases = vec![Stamp { name: "cli_start".to_owned(), at_ns: start_ns }];
        Timings { start_ns, phases, end_ns: start_ns }
    }

    /// `name` happens now.
    pub(crate) fn mark(&mut self, name: &str) {
        let at_ns = sandbox_engine::monotonic_ns();
        self.end_ns = self.end_ns.max(at_ns);
        self.phases.push(Stamp { name: name.to_owned(), at_ns });
    }

    /// What the supervisor saw.
    pub(crate) fn add(&mut self, stamps: &[Stamp]) {
        self.phases.extend_from_slice(stamps);
    }

    /// When the first byte came to us, where a user sees it. A supervisor's stamp of that name would be earlier.
    pub(crate) fn first_output(&mut self, at_ns: Option<u64>) {
        if let Some(at_ns) = at_ns {
            self.phases.retain(|phase| phase.name != "first_output");
            self.phases.push(Stamp { name: "first_output".to_owned(), at_ns });
        }
    }

    pub(crate) fn document(&self, isolation: Isolation) -> Document {
        let mut phases: Vec<Phase> = self
            .phases
            .iter()
            .map(|stamp| Phase { name: stamp.name.clone(), at_ns: stamp.at_ns.saturating_sub(self.start_ns) })
            .collect();
        phases.sort_by_key(|phase| phase.at_ns);
        let at = |name: &str| phases.iter().find(|phase| phase.name == name).map(|phase| phase.at_ns);
        let clocks = Clocks {
            first_kvm_run: at("first_kvm_run"),
            init_cloned: at("init_cloned"),
            ready: at("agent_ready").or_else(|| at("pivoted")),
            first_output: at("first_output"),
            total: at("cli_end"),
        };
        Document { isolation, clocks, phases }
    }

    /// Writes the file; `-` is stderr, because stdout is the container's.
    pub(crate) fn write(&self, path: &Path, isolation: Isolation) -> Result<(), String> {
        let json = serde_json::to_string_pretty(&self.document(isolation)).map_err(|e| e.to_string())?;
        if path == Path::new("-") {
            eprintln!("{json}");
            return Ok(());
        }
        std::fs::write(path, json + "\n").map_err(|e| format!("--timings {}: {e}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_both_isolations() {
        let mut timings = Timings::new(1000);
        let stamp = |name: &str, at_ns| Stamp { name: name.to_owned(), at_ns };
        timings.add(&[stamp("pivoted", 1300), stamp("init_cloned", 1200)]);
        timings.first_output(Some(1500));
        timings.phases.push(stamp("cli_end", 2000));
        let document = timings.document(Isolation::Process);
        assert_eq!(document.clocks.init_cloned, Some(200));
        assert_eq!(document.clocks.ready, Some(300));
        assert_eq!(document.clocks.first_output, Some(500));
        assert_eq!(document.clocks.total, Some(1000));
        assert_eq!(document.phases[0].name, "cli_start");
        assert!(document.phases.is_sorted_by_key(|p| p.at_ns));
        let json = serde_json::to_string(&document).unwrap();
        assert!(json.contains("\"isolation\":\"process\"") && !json.contains("first_kvm_run"), "{json}");
    }

    #[test]
    fn a_run_without_output() {
        let document = Timings::new(5).document(Isolation::Vm);
        assert_eq!(document.clocks.first_output, None);
        assert_eq!(document.phases.len(), 1);
    }
}
