//! The processes of one data root: commands, supervisors, monitors, and what runs below them.

use std::collections::HashMap;
use std::fs;

use nix::unistd::Pid;

use crate::Sandbox;

/// A process whose command line, or that of one above it, names one of the roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurProcess {
    pub pid: Pid,
    /// As the kernel has it: 15 bytes at the most.
    pub name: String,
}

impl OurProcess {
    /// All that live now.
    pub fn all(sandbox: &Sandbox) -> Vec<Self> {
        let roots = [&sandbox.root, &sandbox.run_root].map(|root| root.to_string_lossy().into_owned());
        let seen: HashMap<i32, Seen> =
            pids().filter_map(|pid| Some((pid, Seen::now(pid, &roots)?))).collect();
        let below = |pid: &i32| {
            let mut at = *pid;
            // The table is not of one moment: what looks like a circle ends, too.
            for _ in 0..seen.len() {
                match seen.get(&at) {
                    Some(one) if one.named => return true,
                    Some(one) => at = one.parent,
                    None => break,
                }
            }
            false
        };
        let mut found: Vec<Self> = seen
            .iter()
            .filter(|(pid, one)| one.alive && below(pid))
            .map(|(pid, one)| Self { pid: Pid::from_raw(*pid), name: one.name.clone() })
            .collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    /// Those in a container's cgroup, and those that name it.
    pub fn of_container(id: &str) -> Vec<Self> {
        let mut found = Vec::new();
        for pid in pids() {
            let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let names = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(id);
            if (names(read("cgroup")) || names(read("cmdline")))
                && let Some(seen) = Seen::now(pid, &[])
                && seen.alive
            {
                found.push(Self { pid: Pid::from_raw(pid), name: seen.name });
            }
        }
        found
    }

    /// The first with this name.
    pub fn named(sandbox: &Sandbox, name: &str) -> Option<Pid> {
        Self::all(sandbox).into_iter().find(|process| process.name == name).map(|process| process.pid)
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

struct Seen {
    name: String,
    parent: i32,
    alive: bool,
    named: bool,
}

impl Seen {
    /// None if it has just ended.
    fn now(pid: i32, roots: &[String]) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let alive = !matches!(words.next()?, "Z" | "X");
        let parent = words.next()?.parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let named = roots.iter().any(|root| line.contains(root.as_str()));
        Some(Self { name: name.to_owned(), parent, alive, named })
    }
}
