//! What the host wants to know of a container that runs, and new limits for it.

use prost::Message as _;
use sandbox_container::{Container, InterfaceUsage, MAX_PROCESSES, ProcessInfo};
use sandbox_protocol::{self as protocol, MAX_ANSWER};

use crate::server::Refusal;

/// Bytes of processes in one answer; the rest of its frame is for what surrounds them.
const PAGE: usize = MAX_ANSWER - 256;
/// What a process in a list takes besides itself: its tag and its length.
const PER_PROCESS: usize = 4;
/// Processes that are looked at for one answer; each takes some 60 bytes at the least.
const AT_ONCE: usize = 1024;

pub(crate) fn update(container: &Container, resources: &[u8]) -> Result<(), Refusal> {
    let resources = serde_json::from_slice(resources)
        .map_err(|error| format!("parse the container's new limits: {error}"))?;
    Ok(container.update(&resources)?)
}

pub(crate) fn stats(container: &Container) -> Result<Box<protocol::Stats>, Refusal> {
    let usage = container.usage()?;
    let stats = usage.stats;
    Ok(Box::new(protocol::Stats {
        cpu_usage_us: stats.cpu_usage_usec,
        memory_bytes: stats.memory_current,
        memory_limit_bytes: stats.memory_limit,
        pids: stats.pids_current,
        io_read_bytes: stats.io_read_bytes,
        io_write_bytes: stats.io_write_bytes,
        cpu_user_us: stats.cpu_user_usec,
        cpu_system_us: stats.cpu_system_usec,
        cpu_throttled_periods: stats.cpu_throttled_periods,
        cpu_throttled_us: stats.cpu_throttled_usec,
        memory_peak_bytes: stats.memory_peak,
        memory_inactive_file_bytes: stats.memory_inactive_file,
        memory_anon_bytes: stats.memory_anon,
        swap_bytes: stats.swap_current,
        oom_kills: stats.oom_kills,
        pids_limit: stats.pids_limit,
        online_cpus: usage.online_cpus,
        system_cpu_us: usage.system_cpu_usec,
        memory_total_bytes: usage.memory_total,
        interfaces: usage.interfaces.into_iter().map(interface).collect(),
    }))
}

fn interface(usage: InterfaceUsage) -> protocol::Interface {
    protocol::Interface {
        name: usage.name,
        rx_bytes: usage.rx_bytes,
        rx_packets: usage.rx_packets,
        rx_errors: usage.rx_errors,
        rx_dropped: usage.rx_dropped,
        tx_bytes: usage.tx_bytes,
        tx_packets: usage.tx_packets,
        tx_errors: usage.tx_errors,
        tx_dropped: usage.tx_dropped,
    }
}

pub(crate) fn processes(container: &Container, after: i32) -> Result<protocol::Processes, Refusal> {
    let found = container.list_processes(after, AT_ONCE.min(MAX_PROCESSES))?;
    let (list, all) = page(found.list.into_iter().map(process));
    Ok(protocol::Processes { list, memory_total_bytes: found.memory_total, more: found.more || !all })
}

/// As many as an answer takes, and whether these are all.
fn page(processes: impl Iterator<Item = protocol::Process>) -> (Vec<protocol::Process>, bool) {
    let (mut list, mut size) = (Vec::new(), 0);
    for process in processes {
        size += process.encoded_len() + PER_PROCESS;
        if size > PAGE {
            return (list, false);
        }
        list.push(process);
    }
    (list, true)
}

fn process(info: ProcessInfo) -> protocol::Process {
    protocol::Process {
        pid: info.pid,
        ppid: info.ppid,
        uid: info.uid,
        gid: info.gid,
        pgid: info.pgid,
        sid: info.sid,
        tty: info.tty.unwrap_or_default(),
        stat: info.stat,
        nice: info.nice,
        threads: info.threads,
        start_ns: info.start_ns,
        elapsed_ns: info.elapsed_ns,
        cpu_ns: info.cpu_ns,
        rss_bytes: info.rss_bytes,
        vsz_bytes: info.vsz_bytes,
        comm: info.comm,
        args: info.args,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fits_into_an_answer_however_long_the_arguments_are() {
        for length in [0, 1, 100, 4096] {
            let process = |pid| protocol::Process {
                pid,
                nice: -20,
                start_ns: u64::MAX,
                args: "x".repeat(length),
                ..protocol::Process::default()
            };
            let (list, all) = page((1..=10_000).map(process));
            assert!(!all && !list.is_empty());
            let answer = protocol::Processes { list, memory_total_bytes: u64::MAX, more: true };
            let body = Some(protocol::message::Body::Processes(answer));
            let mut frame = Vec::new();
            sandbox_protocol::frame::encode(&protocol::Message { id: u64::MAX, body }, &mut frame).unwrap();
            assert!(frame.len() <= MAX_ANSWER, "{length}: {}", frame.len());
            assert!(page((1..=10).map(process)).1);
        }
    }
}
