//! What the agent tells of its container, made harmless: it comes from the guest.

use sandbox_container::{InterfaceUsage, MAX_PROCESSES, ProcessInfo, Processes, Stats, Usage};
use sandbox_protocol::{self as protocol, ProcessesRequest, StatsRequest, message, request};

use super::agent::Agent;
use crate::isolation::Failure;

/// Answers with processes that are asked for: 8 MiB of them.
const MAX_PAGES: usize = 128;

fn nonsense() -> Failure {
    Failure::engine("the agent in the guest answered something else than was asked")
}

/// What `container` uses of the guest.
pub(super) async fn usage(agent: &Agent, container: &str) -> Result<Usage, Failure> {
    let asked = StatsRequest { container: container.to_owned() };
    match agent.request(request::Body::Stats(asked)).await? {
        message::Body::Stats(stats) => Ok(of_guest(*stats).bounded()),
        _ => Err(nonsense()),
    }
}

/// Its processes, page by page.
pub(super) async fn processes(agent: &Agent, container: &str) -> Result<Processes, Failure> {
    let (mut all, mut after) = (Processes::default(), 0);
    for _ in 0..MAX_PAGES {
        let asked = ProcessesRequest { container: container.to_owned(), after };
        let message::Body::Processes(page) = agent.request(request::Body::Processes(asked)).await? else {
            return Err(nonsense());
        };
        let last = after;
        for process in page.list {
            if process.pid <= after {
                return Err(nonsense());
            }
            after = process.pid;
            all.list.push(info(process));
        }
        (all.memory_total, all.more) = (page.memory_total_bytes, page.more);
        if !page.more || after == last || all.list.len() >= MAX_PROCESSES {
            break;
        }
    }
    Ok(all.bounded())
}

fn info(process: protocol::Process) -> ProcessInfo {
    ProcessInfo {
        pid: process.pid,
        ppid: process.ppid,
        uid: process.uid,
        gid: process.gid,
        pgid: process.pgid,
        sid: process.sid,
        tty: Some(process.tty).filter(|tty| !tty.is_empty()),
        stat: process.stat,
        nice: process.nice,
        threads: process.threads,
        start_ns: process.start_ns,
        elapsed_ns: process.elapsed_ns,
        cpu_ns: process.cpu_ns,
        rss_bytes: process.rss_bytes,
        vsz_bytes: process.vsz_bytes,
        comm: process.comm,
        args: process.args,
    }
}

fn of_guest(stats: protocol::Stats) -> Usage {
    let interface = |found: protocol::Interface| InterfaceUsage {
        name: found.name,
        rx_bytes: found.rx_bytes,
        rx_packets: found.rx_packets,
        rx_errors: found.rx_errors,
        rx_dropped: found.rx_dropped,
        tx_bytes: found.tx_bytes,
        tx_packets: found.tx_packets,
        tx_errors: found.tx_errors,
        tx_dropped: found.tx_dropped,
    };
    Usage {
        online_cpus: stats.online_cpus,
        system_cpu_usec: stats.system_cpu_us,
        memory_total: stats.memory_total_bytes,
        interfaces: stats.interfaces.into_iter().map(interface).collect(),
        stats: Stats {
            cpu_usage_usec: stats.cpu_usage_us,
            cpu_user_usec: stats.cpu_user_us,
            cpu_system_usec: stats.cpu_system_us,
            cpu_throttled_periods: stats.cpu_throttled_periods,
            cpu_throttled_usec: stats.cpu_throttled_us,
            memory_current: stats.memory_bytes,
            memory_peak: stats.memory_peak_bytes,
            memory_limit: stats.memory_limit_bytes,
            memory_inactive_file: stats.memory_inactive_file_bytes,
            memory_anon: stats.memory_anon_bytes,
            swap_current: stats.swap_bytes,
            oom_kills: stats.oom_kills,
            pids_current: stats.pids,
            pids_limit: stats.pids_limit,
            io_read_bytes: stats.io_read_bytes,
            io_write_bytes: stats.io_write_bytes,
        },
    }
}
