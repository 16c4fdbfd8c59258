//! What a cgroup uses now: the figures of `stats`, the same for a container on the host, a container in a
//! guest, and a guest.
//!
//! A file that is not there belongs to a controller that the cgroup does not have; its figures are zero.

use std::path::Path;

use crate::error::Error;

/// Largest file read here; `io.stat` has one line of about 100 bytes for each block device.
const MAX_FILE: u64 = 1 << 20;

/// Figures of a cgroup v2 directory (Documentation/admin-guide/cgroup-v2.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, microseconds (`usage_usec` of cpu.stat).
    pub cpu_us: u64,
    /// memory.current.
    pub memory_bytes: u64,
    /// memory.max; 0 when there is no limit.
    pub memory_limit_bytes: u64,
    /// pids.current.
    pub pids: u64,
    /// Sum of `rbytes` of io.stat.
    pub io_read_bytes: u64,
    /// Sum of `wbytes` of io.stat.
    pub io_write_bytes: u64,
}

impl Usage {
    /// Reads the figures of the cgroup at `cgroup`.
    ///
    /// # Errors
    /// [`Error::State`] when the cgroup is gone.
    pub fn read(cgroup: &Path) -> Result<Usage, Error> {
        let cpu = read(cgroup, "cpu.stat")
            .ok_or_else(|| Error::State(format!("the cgroup {} is gone", cgroup.display())))?;
        let number = |file| read(cgroup, file).and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        let io = read(cgroup, "io.stat").unwrap_or_default();
        Ok(Usage {
            cpu_us: cpu
                .lines()
                .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
                .unwrap_or_default(),
            memory_bytes: number("memory.current"),
            memory_limit_bytes: number("memory.max"),
            pids: number("pids.current"),
            io_read_bytes: sum(&io, "rbytes="),
            io_write_bytes: sum(&io, "wbytes="),
        })
    }
}

fn read(cgroup: &Path, file: &str) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(cgroup.join(file)).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    Some(text)
}

fn sum(io: &str, key: &str) -> u64 {
    io.split_whitespace()
        .filter_map(|field| field.strip_prefix(key)?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_cgroup() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(Usage::read(dir.path()).is_err());
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).expect("write");
        write("cpu.stat", "usage_usec 4200\nuser_usec 4000\nsystem_usec 200\n");
        let cpu_only = Usage { cpu_us: 4200, ..Usage::default() };
        assert_eq!(Usage::read(dir.path()).expect("usage"), cpu_only);
        write("memory.current", "1048576\n");
        write("memory.max", "max\n");
        write("pids.current", "3\n");
        write("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=5 wbytes=1\n");
        let usage = Usage::read(dir.path()).expect("usage");
        assert_eq!((usage.memory_bytes, usage.memory_limit_bytes, usage.pids), (1_048_576, 0, 3));
        assert_eq!((usage.io_read_bytes, usage.io_write_bytes), (15, 21));
        write("memory.max", "67108864\n");
        assert_eq!(Usage::read(dir.path()).expect("usage").memory_limit_bytes, 64 << 20);
    }
}
