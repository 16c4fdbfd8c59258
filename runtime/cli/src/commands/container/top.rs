//! `sandbox top`.

use std::collections::HashMap;
use std::io::Read;

use sandbox_engine::top;

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::containers::TopFlags;
use crate::format::{self, tab};

/// Bytes of /etc/passwd that are read.
const PASSWD_SIZE: u64 = 1 << 20;
/// Docker's for this table.
const WIDTHS: tab::Widths = tab::Widths { least: 20, padding: 3 };

pub(in crate::commands) fn run(global: &Global, flags: &TopFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    let container = engine.find(&flags.container)?;
    let processes = engine.processes(&container)?;
    let users = users(&passwd());
    let table = top::format(&processes, &flags.options, &|uid| users.get(&uid).cloned())?;
    format::print(&rendered(&table))?;
    if processes.more {
        eprintln!("WARNING: there are more processes than these");
    }
    Ok(0)
}

fn rendered((titles, rows): &top::Table) -> String {
    let lines: String = [titles].into_iter().chain(rows).map(|cells| cells.join("\t") + "\n").collect();
    tab::align_to(&lines, WIDTHS)
}

/// The host's users, as with a ps on the host. Without the file they are numbers.
fn passwd() -> String {
    let mut text = String::new();
    let _ =
        std::fs::File::open("/etc/passwd").and_then(|file| file.take(PASSWD_SIZE).read_to_string(&mut text));
    text
}

/// The first of several names of one user is his.
fn users(passwd: &str) -> HashMap<u32, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    passwd.lines().rev().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_columns() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let table = (texts(&["PID", "CMD"]), vec![texts(&["42", "sleep 1"])]);
        assert_eq!(rendered(&table), "PID                 CMD\n42                  sleep 1\n");
    }

    #[test]
    fn names_of_users() {
        let users = users("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:\nnobody:x:65534:1::/:\nbroken\n");
        assert_eq!((users.len(), users[&0].as_str(), users[&65534].as_str()), (2, "root", "nobody"));
    }
}
