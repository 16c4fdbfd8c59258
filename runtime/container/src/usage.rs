//! What a container uses, and of how much: its cgroup's figures, its network's, and those of the machine around it.

use serde::{Deserialize, Serialize};

use crate::cgroup::Stats;
use crate::container::Container;
use crate::error::{Context, Error};
use crate::text::{printable, read_bounded};

/// Interfaces that are told of; a container with the means can make as many as it likes.
const MAX_INTERFACES: usize = 64;
/// Longest name of an interface, bytes (`IFNAMSIZ` without its end).
const MAX_NAME: usize = 15;
/// More than this of a file in /proc is not read. The line of all CPUs comes first in /proc/stat.
const MAX_FILE: usize = 64 << 10;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the cgroup.
    #[serde(flatten)]
    pub stats: Stats,
    /// CPUs of the machine that are online.
    pub online_cpus: Option<u32>,
    /// CPU time of the whole machine since it was booted, idle time included, in microseconds.
    pub system_cpu_usec: Option<u64>,
    /// RAM of the machine in bytes: the limit of those without one.
    pub memory_total: Option<u64>,
    /// Without the loopback interface, by name.
    pub interfaces: Vec<InterfaceUsage>,
}

/// Counters of a network interface since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl Usage {
    /// The same from a source that is not trusted: what it may say at most, and nothing that a terminal obeys.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.interfaces.truncate(MAX_INTERFACES);
        for interface in &mut self.interfaces {
            interface.name = printable(interface.name.as_bytes(), MAX_NAME);
        }
        self
    }
}

impl Container {
    /// What it uses now.
    ///
    /// # Errors
    /// When it has no cgroup, or has ended.
    pub fn usage(&self) -> Result<Usage, Error> {
        let stats = self.stats()?;
        let pid = self.pid().as_raw_nonzero();
        let interfaces = read_bounded(&format!("/proc/{pid}/net/dev"), MAX_FILE);
        // Still alive now: so the PID was its own all the time.
        if self.has_ended() {
            return Err(self.not_running());
        }
        let stat = read_bounded("/proc/stat", MAX_FILE).context(|| "read /proc/stat")?;
        Ok(Usage {
            stats,
            online_cpus: online_cpus(),
            system_cpu_usec: system_cpu(&stat),
            memory_total: Some(memory_total()),
            interfaces: interfaces.map(|text| interfaces_of(&text)).unwrap_or_default(),
        })
    }

    /// Whether its network is ours, whose counters are then not its own.
    pub fn shares_network(&self) -> bool {
        let namespace = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/net")).ok();
        let own = namespace("self");
        own.is_some() && own == namespace(&self.pid().as_raw_nonzero().to_string())
    }
}

/// Bytes of RAM of this machine.
pub(crate) fn memory_total() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)))
}

fn online_cpus() -> Option<u32> {
    // SAFETY: asks for a number.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(count).ok().filter(|count| *count > 0)
}

/// The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal; the guest times that follow are in
/// the first two (proc_stat(5)).
fn system_cpu(stat: &str) -> Option<u64> {
    let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let sum = ticks.filter_map(|word| word.parse::<u64>().ok()).fold(0, u64::saturating_add);
    Some((u128::from(sum) * 1_000_000 / u128::from(rustix::param::clock_ticks_per_second().max(1))) as u64)
}

/// /proc/net/dev: two lines of titles, then one line an interface.
fn interfaces_of(text: &str) -> Vec<InterfaceUsage> {
    let parse = |line: &str| {
        let (name, counters) = line.rsplit_once(':')?;
        let counters: Vec<u64> = counters.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let at = |index: usize| counters.get(index).copied().unwrap_or_default();
        Some(InterfaceUsage {
            name: printable(name.trim().as_bytes(), MAX_NAME),
            rx_bytes: at(0),
            rx_packets: at(1),
            rx_errors: at(2),
            rx_dropped: at(3),
            tx_bytes: at(8),
            tx_packets: at(9),
            tx_errors: at(10),
            tx_dropped: at(11),
        })
    };
    let mut all: Vec<_> = text
        .lines()
        .skip(2)
        .filter_map(parse)
        .filter(|found| found.name != "lo")
        .take(MAX_INTERFACES)
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_told_apart_and_loopback_is_left_out() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                    net1:9\n  \
                    eth0: 100 2 3 4 0 0 0 0 200 5 6 7 0 0 0 0\n";
        let eth0 = InterfaceUsage {
            name: "eth0".into(),
            rx_bytes: 100,
            rx_packets: 2,
            rx_errors: 3,
            rx_dropped: 4,
            tx_bytes: 200,
            tx_packets: 5,
            tx_errors: 6,
            tx_dropped: 7,
        };
        let net1 = InterfaceUsage { name: "net1".into(), rx_bytes: 9, ..InterfaceUsage::default() };
        assert_eq!(interfaces_of(text), [eth0, net1]);
        assert_eq!(interfaces_of(""), []);
    }

    #[test]
    fn system_time_is_the_sum_of_what_cpus_did() {
        let second = rustix::param::clock_ticks_per_second();
        assert_eq!(
            system_cpu(&format!("cpu  {second} 0 0 {second} 0 0 0 0 999 999\ncpu0 1")),
            Some(2_000_000)
        );
        assert_eq!(system_cpu("intr 5\n"), None);
        assert!(online_cpus().is_some() && memory_total() > 1 << 20);
    }

    #[test]
    fn a_source_that_is_not_trusted_is_bounded() {
        let name = "\x1b[2J".repeat(20);
        let interfaces = vec![InterfaceUsage { name, ..InterfaceUsage::default() }; 100];
        let usage = Usage { interfaces, ..Usage::default() }.bounded();
        assert_eq!((usage.interfaces.len(), usage.interfaces[0].name.as_str()), (64, "?[2J?[2J?[2J?[2"));
    }
}
