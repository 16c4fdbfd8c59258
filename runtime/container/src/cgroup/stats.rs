//! What a container uses. Figures whose controller is not in the tree are `None`.

use serde::{Deserialize, Serialize};

use super::Cgroup;
use super::lifecycle::value_of;

/// Figures of a cgroup and everything below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// CPU time used, in microseconds. There without the controller.
    pub cpu_usage_usec: Option<u64>,
    /// CPU time in user mode, in microseconds.
    pub cpu_user_usec: Option<u64>,
    /// CPU time in the kernel, in microseconds.
    pub cpu_system_usec: Option<u64>,
    /// Periods in which the quota held the container back.
    pub cpu_throttled_periods: Option<u64>,
    /// Time held back, in microseconds.
    pub cpu_throttled_usec: Option<u64>,
    /// Memory charged now, in bytes (page cache included).
    pub memory_current: Option<u64>,
    /// The most that was ever charged, in bytes.
    pub memory_peak: Option<u64>,
    /// The limit in bytes; `None` also for "max".
    pub memory_limit: Option<u64>,
    /// Page cache that could be dropped, in bytes; `docker stats` shows current - this.
    pub memory_inactive_file: Option<u64>,
    /// Anonymous memory in bytes.
    pub memory_anon: Option<u64>,
    /// Swap in use, in bytes.
    pub swap_current: Option<u64>,
    /// Processes that the OOM killer ended.
    pub oom_kills: Option<u64>,
    /// Tasks now.
    pub pids_current: Option<u64>,
    /// The most tasks; `None` also for "max".
    pub pids_limit: Option<u64>,
    /// Bytes read from block devices.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub io_write_bytes: Option<u64>,
}

impl Cgroup {
    pub fn stats(&self) -> Stats {
        let number = |file| self.read(file).ok().and_then(|text| text.trim().parse().ok());
        let cpu = self.read("cpu.stat").unwrap_or_default();
        let memory = self.read("memory.stat").unwrap_or_default();
        let events = self.read("memory.events").unwrap_or_default();
        let io = self.read("io.stat").ok();
        Stats {
            cpu_usage_usec: value_of(&cpu, "usage_usec"),
            cpu_user_usec: value_of(&cpu, "user_usec"),
            cpu_system_usec: value_of(&cpu, "system_usec"),
            cpu_throttled_periods: value_of(&cpu, "nr_throttled"),
            cpu_throttled_usec: value_of(&cpu, "throttled_usec"),
            memory_current: number("memory.current"),
            memory_peak: number("memory.peak"),
            memory_limit: number("memory.max"),
            memory_inactive_file: value_of(&memory, "inactive_file"),
            memory_anon: value_of(&memory, "anon"),
            swap_current: number("memory.swap.current"),
            oom_kills: value_of(&events, "oom_kill"),
            pids_current: number("pids.current"),
            pids_limit: number("pids.max"),
            io_read_bytes: io.as_deref().map(|text| io_sum(text, "rbytes=")),
            io_write_bytes: io.as_deref().map(|text| io_sum(text, "wbytes=")),
        }
    }
}

/// Sums one key over the devices of io.stat.
fn io_sum(text: &str, key: &str) -> u64 {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_is_summed_over_devices() {
        let text = "8:0 rbytes=10 wbytes=1 rios=3\n8:16 rbytes=5 wbytes=2 dbytes=0\n";
        assert_eq!((io_sum(text, "rbytes="), io_sum(text, "wbytes=")), (15, 3));
    }

    #[test]
    fn cpu_time_is_there_without_any_controller() {
        let cgroup = super::super::testing::cgroup("stats");
        assert!(cgroup.stats().cpu_usage_usec.is_some());
        cgroup.remove().expect("removed");
    }
}
