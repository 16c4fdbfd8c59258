//! The columns of ps(1).

use std::collections::HashMap;
use std::io::Read;

use sandbox_shim::figures::ProcessInfo;

use super::duration;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_S: i64 = 86_400;
/// Bytes of /etc/passwd that are read.
const PASSWD_SIZE: u64 = 1 << 20;

/// What ps knows of the machine.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) names: HashMap<u32, String>,
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) now_s: i64,
}

impl Host {
    /// With the host's own names of users, as with a ps on the host.
    pub(crate) fn look(memory: u64, now_s: i64) -> Host {
        let mut text = String::new();
        // Without it users are numbers.
        let _ = std::fs::File::open("/etc/passwd")
            .and_then(|file| file.take(PASSWD_SIZE).read_to_string(&mut text));
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        // The first of several names of one user is his.
        let names = text.lines().rev().filter_map(user).collect();
        Host { names, memory, now_s }
    }

    fn user(&self, uid: u32) -> String {
        self.names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// The user's name, under the title UID.
    UidName,
    User,
    Uid,
    Gid,
    Pid,
    Ppid,
    Pgid,
    Sid,
    /// %CPU as a whole number.
    C,
    CpuShare,
    MemoryShare,
    Vsz,
    Rss,
    Tty,
    Stat,
    Nice,
    Threads,
    /// When it was started.
    Stime,
    Start,
    Elapsed,
    Time,
    Comm,
    Command,
    Cmd,
}

use Column as C;

/// `-ef`
pub(crate) const FULL: [Column; 8] = [C::UidName, C::Pid, C::Ppid, C::C, C::Stime, C::Tty, C::Time, C::Cmd];
/// `aux`
pub(crate) const USER: [Column; 11] = [
    C::User,
    C::Pid,
    C::CpuShare,
    C::MemoryShare,
    C::Vsz,
    C::Rss,
    C::Tty,
    C::Stat,
    C::Start,
    C::Time,
    C::Command,
];

/// Names in `-o`, with the titles of their columns.
const NAMES: [(&str, Column, &str); 32] = [
    ("user", C::User, "USER"),
    ("euser", C::User, "EUSER"),
    ("uid", C::Uid, "UID"),
    ("euid", C::Uid, "EUID"),
    ("gid", C::Gid, "GID"),
    ("egid", C::Gid, "EGID"),
    ("pid", C::Pid, "PID"),
    ("ppid", C::Ppid, "PPID"),
    ("pgid", C::Pgid, "PGID"),
    ("pgrp", C::Pgid, "PGRP"),
    ("sid", C::Sid, "SID"),
    ("sess", C::Sid, "SESS"),
    ("c", C::C, "C"),
    ("pcpu", C::CpuShare, "%CPU"),
    ("%cpu", C::CpuShare, "%CPU"),
    ("pmem", C::MemoryShare, "%MEM"),
    ("%mem", C::MemoryShare, "%MEM"),
    ("vsz", C::Vsz, "VSZ"),
    ("rss", C::Rss, "RSS"),
    ("tty", C::Tty, "TTY"),
    ("tt", C::Tty, "TT"),
    ("stat", C::Stat, "STAT"),
    ("ni", C::Nice, "NI"),
    ("nlwp", C::Threads, "NLWP"),
    ("stime", C::Stime, "STIME"),
    ("start", C::Start, "START"),
    ("etime", C::Elapsed, "ELAPSED"),
    ("time", C::Time, "TIME"),
    ("comm", C::Comm, "COMMAND"),
    ("args", C::Command, "COMMAND"),
    ("command", C::Command, "COMMAND"),
    ("cmd", C::Cmd, "CMD"),
];

/// All names.
pub(crate) fn names() -> String {
    NAMES.map(|(name, ..)| name).join(", ")
}

impl Column {
    pub(crate) fn parse(name: &str) -> Option<Column> {
        NAMES.iter().find(|(known, ..)| *known == name).map(|(_, column, _)| *column)
    }

    pub(crate) fn title(self) -> &'static str {
        let found = NAMES.iter().find(|(_, column, _)| *column == self);
        found.map_or("UID", |(.., title)| title)
    }

    pub(crate) fn of(self, process: &ProcessInfo, host: &Host) -> String {
        let kib = |bytes: u64| (bytes >> 10).to_string();
        let started = process.start_ns / SECOND_NS;
        match self {
            C::UidName | C::User => host.user(process.uid),
            C::Uid => process.uid.to_string(),
            C::Gid => process.gid.to_string(),
            C::Pid => process.pid.to_string(),
            C::Ppid => process.ppid.to_string(),
            C::Pgid => process.pgid.to_string(),
            C::Sid => process.sid.to_string(),
            C::C => (cpu_permille(process) / 10).to_string(),
            C::CpuShare => tenths(cpu_permille(process)),
            C::MemoryShare => {
                let share = u128::from(process.rss_bytes) * 1000 / u128::from(host.memory.max(1));
                tenths(u64::try_from(share).unwrap_or(u64::MAX))
            }
            C::Vsz => kib(process.vsz_bytes),
            C::Rss => kib(process.rss_bytes),
            C::Tty => process.tty.clone().unwrap_or_else(|| "?".to_owned()),
            C::Stat => process.stat.clone(),
            C::Nice => process.nice.to_string(),
            C::Threads => process.threads.to_string(),
            C::Stime | C::Start => start(i64::try_from(started).unwrap_or(i64::MAX), host.now_s),
            C::Elapsed => elapsed(process.elapsed_ns / SECOND_NS),
            C::Time => time(process.cpu_ns / SECOND_NS),
            C::Comm => process.comm.clone(),
            C::Command | C::Cmd => process.args.clone(),
        }
    }
}

/// Part of its life in which it ran on a CPU; ps counts in whole seconds.
fn cpu_permille(process: &ProcessInfo) -> u64 {
    let seconds = process.elapsed_ns / SECOND_NS;
    (process.cpu_ns / 1_000_000).checked_div(seconds).unwrap_or(0)
}

fn tenths(permille: u64) -> String {
    format!("{}.{}", permille / 10, permille % 10)
}

/// `06:14`, after a day `Nov22`; in UTC.
fn start(at_s: i64, now_s: i64) -> String {
    let text = duration::utc(at_s);
    if now_s - at_s < DAY_S {
        return text.get(11..16).unwrap_or_default().to_owned();
    }
    let month = text.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
    let name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!("{}{}", name.get(month - 1).unwrap_or(&"Jan"), text.get(8..10).unwrap_or_default())
}

/// `[DD-]HH:MM:SS`
fn time(seconds: u64) -> String {
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match seconds / 86_400 {
        0 => clock,
        days => format!("{days}-{clock}"),
    }
}

/// `[[DD-]HH:]MM:SS`
fn elapsed(seconds: u64) -> String {
    if seconds < 3600 { format!("{:02}:{:02}", seconds / 60, seconds % 60) } else { time(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!((time(59), time(100_000)), ("00:00:59".to_owned(), "1-03:46:40".to_owned()));
        assert_eq!((elapsed(61), elapsed(3661)), ("01:01".to_owned(), "01:01:01".to_owned()));
        let at = 1_795_328_074;
        assert_eq!((start(at, at + 5), start(at, at + 90_000)), ("06:14".to_owned(), "Nov22".to_owned()));
    }

    #[test]
    fn the_first_title_of_a_column_is_its_own() {
        let titles = FULL.map(Column::title);
        assert_eq!(titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        let titles = USER.map(Column::title);
        assert_eq!(titles[..4], ["USER", "PID", "%CPU", "%MEM"]);
        assert_eq!(titles[6..], ["TTY", "STAT", "START", "TIME", "COMMAND"]);
    }
}
