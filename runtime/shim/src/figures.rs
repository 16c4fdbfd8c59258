//! What a container uses and which processes it has, as supervisors tell. A newer one may tell more, an older one less.

use sandbox_container::Stats;
use serde::{Deserialize, Serialize};

/// What a container uses, and of how much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of its cgroup.
    #[serde(flatten)]
    pub stats: Stats,
    /// CPUs of the machine that are online.
    #[serde(default)]
    pub online_cpus: Option<u32>,
    /// CPU time of the whole machine since it was booted, idle time included, in microseconds.
    #[serde(default)]
    pub system_cpu_usec: Option<u64>,
    /// RAM of the machine in bytes: the limit of those without one.
    #[serde(default)]
    pub memory_total: Option<u64>,
    /// Without the loopback interface, by name.
    #[serde(default)]
    pub interfaces: Vec<InterfaceUsage>,
}

/// Counters of a network interface since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceUsage {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// Processes, by PID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Processes {
    pub list: Vec<ProcessInfo>,
    /// RAM of the machine in bytes: what %MEM is of.
    pub memory_total: u64,
    /// There are more than were asked for.
    pub more: bool,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessInfo {
    pub pid: i32,
    pub ppid: i32,
    /// Effective, as ps has them.
    pub uid: u32,
    pub gid: u32,
    pub pgid: i32,
    pub sid: i32,
    /// Its controlling terminal: `pts/0`.
    pub tty: Option<String>,
    /// ps' STAT: the state's letter and what qualifies it: `Ss+`.
    pub stat: String,
    pub nice: i32,
    pub threads: u32,
    /// When it was started, nanoseconds since 1970.
    pub start_ns: u64,
    /// How long ago that was.
    pub elapsed_ns: u64,
    /// CPU time that it used.
    pub cpu_ns: u64,
    pub rss_bytes: u64,
    pub vsz_bytes: u64,
    /// Its name.
    pub comm: String,
    /// Its command line; for one without, its name in brackets.
    pub args: String,
}

impl From<Stats> for Usage {
    fn from(stats: Stats) -> Usage {
        Usage { stats, ..Usage::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_an_older_supervisor_are_read() {
        let stats = Stats { cpu_usage_usec: Some(7), ..Stats::default() };
        let usage: Usage = serde_json::from_value(serde_json::to_value(&stats).unwrap()).unwrap();
        assert_eq!(usage, Usage::from(stats));
    }
}
