//! The processes of a container as ps would know them, for `top`.
//!
//! They are those of its cgroup and of all below, with the PIDs of our own namespace. What a process says of itself (its
//! name, its arguments) is shortened and made harmless; one whose number was given to a process outside of the container
//! meanwhile is left out.

mod stat;

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::error::Error;
use crate::text::{printable, read_to};
use crate::usage::memory_total;

/// Processes of a container that are looked at.
pub const MAX_PROCESSES: usize = 32_768;
/// Bytes of a command line that are kept.
const MAX_ARGS: usize = 4096;
/// Bytes of a name: 15 in the kernel's own, more for its threads.
const MAX_COMM: usize = 64;
/// Bytes of names and command lines that are kept of all processes together.
const MAX_TEXT: usize = 8 << 20;
/// Length of the longest `stat` and `tty` here.
const MAX_SHORT: usize = 16;
/// stat has 52 numbers; status some 60 lines.
const MAX_FILE: usize = 8 << 10;
/// Processes that are held open at a time.
const CHUNK: usize = 64;

/// A list of processes, by PID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    pub list: Vec<ProcessInfo>,
    /// RAM of the machine in bytes: what %MEM is of.
    pub memory_total: u64,
    /// There are more than were asked for.
    pub more: bool,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl ProcessInfo {
    /// Part of its life in which it ran on a CPU, in thousandths, above 1000 for threads on several; ps counts in whole
    /// seconds, too.
    pub fn cpu_permille(&self) -> u64 {
        let seconds = self.elapsed_ns / 1_000_000_000;
        (self.cpu_ns / 1_000_000).checked_div(seconds).unwrap_or(0)
    }
}

impl Processes {
    /// The same from a source that is not trusted: what it may say at most, and nothing that a terminal obeys.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.list.truncate(MAX_PROCESSES);
        for process in &mut self.list {
            process.comm = printable(process.comm.as_bytes(), MAX_COMM);
            process.args = printable(process.args.as_bytes(), MAX_ARGS);
            process.stat = printable(process.stat.as_bytes(), MAX_SHORT);
            process.tty = process.tty.as_ref().map(|tty| printable(tty.as_bytes(), MAX_SHORT));
        }
        self
    }
}

impl Container {
    /// At most `max` of its processes, those with PIDs above `after`. Without a cgroup only the init is known.
    ///
    /// # Errors
    /// When it is not running, or the cgroup cannot be read.
    pub fn list_processes(&self, after: i32, max: usize) -> Result<Processes, Error> {
        if self.has_ended() {
            return Err(self.not_running());
        }
        let members = || match self.own_cgroup() {
            Ok(cgroup) => cgroup.members(MAX_PROCESSES),
            Err(_) => self.processes(),
        };
        let mut wanted = members()?;
        wanted.retain(|pid| *pid > after);
        let mut more = wanted.len() > max;
        wanted.truncate(max);
        let clock = Clock::now();
        let (mut list, mut text) = (Vec::with_capacity(wanted.len()), 0);
        for chunk in wanted.chunks(CHUNK) {
            if text > MAX_TEXT {
                more = true;
                break;
            }
            let read: Vec<_> = chunk.iter().filter_map(|pid| read(*pid, &clock)).collect();
            // Whoever is a member still, and alive after that, had its number all the time.
            let members = members()?;
            let own = |(directory, process): (OwnedFd, ProcessInfo)| {
                let member = members.binary_search(&process.pid).is_ok();
                (member && file(&directory, "stat", 1).is_ok()).then_some(process)
            };
            let begin = list.len();
            list.extend(read.into_iter().filter_map(own));
            let added = list.iter().skip(begin);
            text += added.map(|process| process.args.len() + process.comm.len()).sum::<usize>();
        }
        Ok(Processes { list, memory_total: memory_total(), more })
    }
}

/// What times in /proc are relative to.
struct Clock {
    ticks: u64,
    uptime_ns: u64,
    realtime_ns: u64,
}

impl Clock {
    fn now() -> Self {
        let nanoseconds = |id| {
            let time = clock_gettime(id);
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        };
        Self {
            ticks: rustix::param::clock_ticks_per_second().max(1),
            uptime_ns: nanoseconds(ClockId::Boottime),
            realtime_ns: nanoseconds(ClockId::Realtime),
        }
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        (u128::from(ticks) * 1_000_000_000 / u128::from(self.ticks)).try_into().unwrap_or(u64::MAX)
    }
}

fn file(directory: &OwnedFd, name: &str, max: usize) -> Result<Vec<u8>, Errno> {
    read_to(rustix::fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, max)
}

/// The process and its directory in /proc, which stays its own whoever gets its number; none if it has ended.
fn read(pid: i32, clock: &Clock) -> Option<(OwnedFd, ProcessInfo)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
    let stat = stat::Stat::parse(&file(&directory, "stat", MAX_FILE).ok()?)?;
    let status = stat::Status::parse(&String::from_utf8_lossy(&file(&directory, "status", MAX_FILE).ok()?));
    // That of a zombie is empty.
    let line = file(&directory, "cmdline", MAX_ARGS).unwrap_or_default();
    let comm = printable(&stat.comm, MAX_COMM);
    let start = clock.nanoseconds(stat.start_ticks);
    let elapsed_ns = clock.uptime_ns.saturating_sub(start);
    let process = ProcessInfo {
        pid,
        ppid: stat.ppid,
        uid: status.uid,
        gid: status.gid,
        pgid: stat.pgid,
        sid: stat.sid,
        tty: stat.tty(),
        stat: stat.letters(pid, status.locked),
        nice: stat.nice,
        threads: stat.threads,
        start_ns: clock.realtime_ns.saturating_sub(elapsed_ns),
        elapsed_ns,
        cpu_ns: clock.nanoseconds(stat.cpu_ticks),
        rss_bytes: stat.rss_pages.saturating_mul(rustix::param::page_size() as u64),
        vsz_bytes: stat.vsz_bytes,
        args: arguments(&line, &comm, stat.state),
        comm,
    };
    Some((directory, process))
}

/// The arguments with blanks between them.
fn arguments(line: &[u8], comm: &str, state: char) -> String {
    let end = line.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match line.get(..end).unwrap_or_default() {
        [] if state == 'Z' => format!("[{comm}] <defunct>"),
        [] => format!("[{comm}]"),
        line => {
            let line: Vec<u8> = line.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
            printable(&line, MAX_ARGS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_says_of_itself_is_made_harmless() {
        assert_eq!(arguments(b"sh\0-c\0echo \x1b[2J\n\0\0", "sh", 'S'), "sh -c echo ?[2J?");
        assert_eq!(arguments(b"", "kworker", 'I'), "[kworker]");
        assert_eq!(arguments(b"\0\0", "sh", 'Z'), "[sh] <defunct>");
        let long = arguments(&[0xff; 10_000], "x", 'R');
        assert!(long.len() <= MAX_ARGS && !long.is_empty());
    }

    #[test]
    fn we_are_a_process_ourselves() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let (_, process) = read(own, &Clock::now()).expect("this process");
        assert_eq!((process.pid, process.uid), (own, rustix::process::getuid().as_raw()));
        assert_eq!(process.ppid, rustix::process::getppid().expect("a parent").as_raw_nonzero().get());
        assert!(process.rss_bytes > 4096 && process.vsz_bytes >= process.rss_bytes && process.threads > 0);
        assert!(process.elapsed_ns < 86_400_000_000_000, "{process:?}");
        let program = std::env::args().next().expect("a name");
        assert!(process.args.starts_with(&program) && program.contains(&process.comm), "{process:?}");
        assert!(read(i32::MAX, &Clock::now()).is_none());
    }

    #[test]
    fn shares_of_time_are_counted_in_whole_seconds() {
        let process = |elapsed_ms: u64, cpu_ms: u64| ProcessInfo {
            elapsed_ns: elapsed_ms * 1_000_000,
            cpu_ns: cpu_ms * 1_000_000,
            ..ProcessInfo::default()
        };
        assert_eq!(process(999, 900).cpu_permille(), 0);
        assert_eq!(process(2999, 1000).cpu_permille(), 500);
        assert_eq!(process(1000, 4000).cpu_permille(), 4000);
    }

    #[test]
    fn a_source_that_is_not_trusted_is_bounded() {
        let bad = "\x1b]0;x\x07".repeat(2000);
        let process = ProcessInfo {
            tty: Some(bad.clone()),
            stat: bad.clone(),
            comm: bad.clone(),
            args: bad,
            ..ProcessInfo::default()
        };
        let bounded = Processes { list: vec![process], ..Processes::default() }.bounded();
        let process = &bounded.list[0];
        let tty = process.tty.clone().expect("a terminal");
        assert!(
            [&tty, &process.stat, &process.comm, &process.args]
                .iter()
                .all(|text| text.starts_with("?]0;x??"))
        );
        assert_eq!(
            [tty.len(), process.stat.len(), process.comm.len(), process.args.len()],
            [16, 16, 64, 4096]
        );
    }
}
