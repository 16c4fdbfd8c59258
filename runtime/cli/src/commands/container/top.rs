//! `sandbox top`: the processes of a container as ps(1) shows them. The supervisor tells of them, so there is no ps to run:
//! what can be asked for are its usual sets of columns and lists of our own.

use sandbox_shim::figures::{ProcessInfo, Processes};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::containers::TopFlags;
use crate::format::{self, ps, tab};

pub(in crate::commands) fn run(global: &Global, flags: &TopFlags) -> Result<u8, Failure> {
    let columns = columns(&flags.options).map_err(Failure::engine)?;
    let engine = crate::commands::engine(global)?;
    let container = engine.find(&flags.container)?;
    let processes = engine.processes(&container)?;
    let now_s = sandbox_engine::realtime_ns() / 1_000_000_000;
    format::print(&table(&columns, &processes, &ps::Host::look(processes.memory_total, now_s)))?;
    if processes.more {
        eprintln!("WARNING: there are more processes than these");
    }
    Ok(0)
}

/// The columns that options of ps ask for.
fn columns(options: &[String]) -> Result<Vec<ps::Column>, String> {
    let mut columns = Vec::new();
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        let bare = option.strip_prefix('-').unwrap_or(option);
        match bare {
            "" | "e" | "A" | "a" | "x" | "ax" => {}
            "ef" | "f" | "Af" => columns = ps::FULL.to_vec(),
            "aux" | "u" | "ux" => columns = ps::USER.to_vec(),
            "o" | "eo" | "axo" | "Ao" => columns.extend(listed(rest.next().map_or("", String::as_str))?),
            _ => match bare
                .strip_prefix("o")
                .or_else(|| bare.strip_prefix("eo"))
                .or_else(|| bare.strip_prefix("axo"))
            {
                Some(list) => columns.extend(listed(list.trim_start_matches('='))?),
                None => {
                    return Err(format!(
                        "ps option {option:?} is not known; use -ef, aux, or -o with some of {}",
                        ps::names()
                    ));
                }
            },
        }
    }
    if columns.is_empty() {
        columns = ps::FULL.to_vec();
    }
    // What others are found by.
    if !columns.contains(&ps::Column::Pid) {
        return Err("Couldn't find PID field in ps output".to_owned());
    }
    Ok(columns)
}

/// `pid,comm`
fn listed(list: &str) -> Result<Vec<ps::Column>, String> {
    let names = list.split([',', ' ']).filter(|name| !name.is_empty());
    names
        .map(|name| {
            ps::Column::parse(name)
                .ok_or_else(|| format!("ps column {name:?} is not known; there are {}", ps::names()))
        })
        .collect()
}

fn table(columns: &[ps::Column], processes: &Processes, host: &ps::Host) -> String {
    let line = |cell: &dyn Fn(ps::Column) -> String| {
        columns.iter().map(|column| cell(*column)).collect::<Vec<_>>().join("\t") + "\n"
    };
    let mut text = line(&|column| column.title().to_owned());
    for process in &processes.list {
        let process: &ProcessInfo = process;
        text.push_str(&line(&|column| column.of(process, host)));
    }
    tab::align_to(&text, tab::Widths { least: 20, padding: 3 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes() -> Processes {
        let sleep = ProcessInfo {
            pid: 4242,
            ppid: 4200,
            uid: 0,
            stat: "Ss".to_owned(),
            start_ns: 1_795_328_074_000_000_000,
            elapsed_ns: 100_000_000_000,
            cpu_ns: 3_725_000_000_000,
            rss_bytes: 4 << 20,
            vsz_bytes: 8 << 20,
            comm: "sleep".to_owned(),
            args: "sleep 1000".to_owned(),
            ..ProcessInfo::default()
        };
        let shell = ProcessInfo { pid: 4243, uid: 1000, tty: Some("pts/0".to_owned()), ..sleep.clone() };
        Processes { list: vec![sleep, shell], memory_total: 64 << 20, more: false }
    }

    fn shown(options: &[&str]) -> Result<String, String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let host =
            ps::Host { names: [(0, "root".to_owned())].into(), memory: 64 << 20, now_s: 1_795_328_174 };
        Ok(table(&columns(&options)?, &processes(), &host))
    }

    #[test]
    fn as_ps_shows_them() {
        assert_eq!(
            shown(&[]).unwrap(),
            "UID                 PID                 PPID                C                   STIME               \
             TTY                 TIME                CMD\n\
             root                4242                4200                3725                06:14               \
             ?                   01:02:05            sleep 1000\n\
             1000                4243                4200                3725                06:14               \
             pts/0               01:02:05            sleep 1000\n"
        );
        let text = shown(&["aux"]).unwrap();
        assert!(
            text.starts_with("USER                PID                 %CPU                %MEM"),
            "{text}"
        );
        let line: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(line[..8], ["root", "4242", "3725.0", "6.2", "8192", "4096", "?", "Ss"]);
        let text = shown(&["-o", "pid,comm"]).unwrap();
        assert_eq!(text.lines().nth(1), Some("4242                sleep"));
        assert_eq!(shown(&["-eo", "pid,comm"]), Ok(text));
    }

    #[test]
    fn what_is_not_known() {
        assert_eq!(shown(&["-o", "comm"]).unwrap_err(), "Couldn't find PID field in ps output");
        assert!(shown(&["-o", "pid,nope"]).unwrap_err().starts_with("ps column \"nope\" is not known"));
        assert!(shown(&["--forest"]).unwrap_err().starts_with("ps option \"--forest\" is not known"));
    }
}
