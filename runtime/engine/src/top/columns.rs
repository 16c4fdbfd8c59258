//! The columns of ps (ps(1), standard format specifiers).

use sandbox_container::ProcessInfo;

use super::local;

const SECOND: u64 = 1_000_000_000;

/// What a process's row depends on besides it.
pub(super) struct Context<'a> {
    /// What %MEM is of.
    pub(super) memory_total: u64,
    /// Nanoseconds since 1970.
    pub(super) now: i64,
    pub(super) user: &'a dyn Fn(u32) -> Option<String>,
}

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Args,
    BsdStart,
    BsdTime,
    Comm,
    CpuInteger,
    CpuPercent,
    Elapsed,
    ElapsedSeconds,
    Gid,
    MemoryPercent,
    Nice,
    Pgid,
    Pid,
    Ppid,
    Rss,
    Sid,
    Stat,
    State,
    StartDay,
    Threads,
    Time,
    TimeSeconds,
    Tty,
    Uid,
    User,
    Vsz,
}

use Column as C;

/// Name, meaning and title.
const COLUMNS: &[(&str, Column, &str)] = &[
    ("pid", C::Pid, "PID"),
    ("ppid", C::Ppid, "PPID"),
    ("pgid", C::Pgid, "PGID"),
    ("pgrp", C::Pgid, "PGRP"),
    ("sid", C::Sid, "SID"),
    ("sess", C::Sid, "SESS"),
    ("uid", C::Uid, "UID"),
    ("euid", C::Uid, "EUID"),
    ("user", C::User, "USER"),
    ("euser", C::User, "EUSER"),
    ("uname", C::User, "USER"),
    ("gid", C::Gid, "GID"),
    ("egid", C::Gid, "EGID"),
    ("c", C::CpuInteger, "C"),
    ("pcpu", C::CpuPercent, "%CPU"),
    ("%cpu", C::CpuPercent, "%CPU"),
    ("pmem", C::MemoryPercent, "%MEM"),
    ("%mem", C::MemoryPercent, "%MEM"),
    ("vsz", C::Vsz, "VSZ"),
    ("vsize", C::Vsz, "VSZ"),
    ("rss", C::Rss, "RSS"),
    ("rssize", C::Rss, "RSS"),
    ("rsz", C::Rss, "RSZ"),
    ("tty", C::Tty, "TT"),
    ("tt", C::Tty, "TT"),
    ("tname", C::Tty, "TTY"),
    ("stat", C::Stat, "STAT"),
    ("s", C::State, "S"),
    ("state", C::State, "S"),
    ("stime", C::StartDay, "STIME"),
    ("start_time", C::StartDay, "START"),
    ("bsdstart", C::BsdStart, "START"),
    ("etime", C::Elapsed, "ELAPSED"),
    ("etimes", C::ElapsedSeconds, "ELAPSED"),
    ("time", C::Time, "TIME"),
    ("cputime", C::Time, "TIME"),
    ("times", C::TimeSeconds, "TIME"),
    ("cputimes", C::TimeSeconds, "TIME"),
    ("bsdtime", C::BsdTime, "TIME"),
    ("ni", C::Nice, "NI"),
    ("nice", C::Nice, "NI"),
    ("nlwp", C::Threads, "NLWP"),
    ("thcount", C::Threads, "THCNT"),
    ("comm", C::Comm, "COMMAND"),
    ("ucmd", C::Comm, "CMD"),
    ("ucomm", C::Comm, "COMMAND"),
    ("args", C::Args, "COMMAND"),
    ("command", C::Args, "COMMAND"),
    ("cmd", C::Args, "CMD"),
];

impl Column {
    /// A column and its usual title.
    pub(super) fn find(name: &str) -> Option<(Self, &'static str)> {
        COLUMNS.iter().find(|(known, ..)| *known == name).map(|(_, column, title)| (*column, *title))
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        COLUMNS.iter().map(|(name, ..)| *name)
    }

    pub(super) fn cell(self, process: &ProcessInfo, context: &Context<'_>) -> String {
        let elapsed = process.elapsed_ns / SECOND;
        let time = process.cpu_ns / SECOND;
        match self {
            C::Args => process.args.clone(),
            C::BsdStart if elapsed > 86_400 => local::time(process.start_ns, "%b%d"),
            C::BsdStart => local::time(process.start_ns, "%H:%M"),
            C::BsdTime => format!("{}:{:02}", time / 60, time % 60),
            C::Comm => process.comm.clone(),
            C::CpuInteger => (process.cpu_permille() / 10).min(99).to_string(),
            C::CpuPercent => tenths(process.cpu_permille()),
            C::Elapsed => clock(elapsed, false),
            C::ElapsedSeconds => elapsed.to_string(),
            C::Gid => process.gid.to_string(),
            C::MemoryPercent => {
                let permille = u128::from(process.rss_bytes) * 1000 / u128::from(context.memory_total.max(1));
                tenths(permille.min(999) as u64)
            }
            C::Nice => process.nice.to_string(),
            C::Pgid => process.pgid.to_string(),
            C::Pid => process.pid.to_string(),
            C::Ppid => process.ppid.to_string(),
            C::Rss => (process.rss_bytes / 1024).to_string(),
            C::Sid => process.sid.to_string(),
            C::Stat => process.stat.clone(),
            C::State => process.stat.chars().take(1).collect(),
            C::StartDay => {
                let same = |format: &str| {
                    local::time(process.start_ns, format) == local::time(context.now.max(0) as u64, format)
                };
                let format = match (same("%Y"), same("%j")) {
                    (true, true) => "%H:%M",
                    (true, false) => "%b%d",
                    (false, _) => "%Y",
                };
                local::time(process.start_ns, format)
            }
            C::Threads => process.threads.to_string(),
            C::Time => clock(time, true),
            C::TimeSeconds => time.to_string(),
            C::Tty => process.tty.clone().unwrap_or_else(|| "?".to_owned()),
            C::Uid => process.uid.to_string(),
            C::User => (context.user)(process.uid).unwrap_or_else(|| process.uid.to_string()),
            C::Vsz => (process.vsz_bytes / 1024).to_string(),
        }
    }
}

/// ps drops the fraction of what has three digits.
fn tenths(permille: u64) -> String {
    if permille > 999 { (permille / 10).to_string() } else { format!("{}.{}", permille / 10, permille % 10) }
}

/// `[DD-]HH:MM:SS`, and without hours below one of them unless `hours`.
fn clock(seconds: u64, hours: bool) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    match (days, hour) {
        (0, 0) if !hours => format!("{minute:02}:{second:02}"),
        (0, _) => format!("{hour:02}:{minute:02}:{second:02}"),
        _ => format!("{days}-{hour:02}:{minute:02}:{second:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_ps_prints_them() {
        assert_eq!([clock(5, false), clock(5, true)], ["00:05", "00:00:05"]);
        assert_eq!([clock(3725, false), clock(3725, true)], ["01:02:05", "01:02:05"]);
        assert_eq!(clock(86_400 * 10 + 1, true), "10-00:00:01");
        assert_eq!([tenths(0), tenths(999), tenths(1000), tenths(4000)], ["0.0", "99.9", "100", "400"]);
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = Column::names().collect();
        assert_eq!(names.len(), COLUMNS.len());
        assert_eq!(Column::find("pid"), Some((C::Pid, "PID")));
        assert_eq!(Column::find("lwp"), None);
    }
}
