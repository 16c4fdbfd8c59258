//! What a container's processes and its use look like from outside.

use oci_spec::runtime::LinuxNamespaceType as Type;
use rustix::process::Signal;
use sandbox_container::MAX_PROCESSES;

use crate::Test;
use crate::support::{Bundle, Output, linux, process, spec, start};

pub(crate) const TESTS: &[Test] = &[
    ("figures::processes", processes),
    ("figures::hostile_processes", hostile_processes),
    ("figures::usage", usage),
    ("figures::usage_of_a_shared_network", usage_of_a_shared_network),
];

fn processes() {
    let bundle = Bundle::new();
    let output = Output::new();
    let mut container =
        start(&bundle, &spec(&bundle, &["sh", "-c", "sleep 1000 & sleep 1001 & echo up; wait"]), &output);
    output.wait_for("up");
    let mut other = process(&["sleep", "1002"]);
    other.user_mut().set_uid(33u32).set_gid(34u32);
    let exec = container.exec(&other, Output::new().stdio()).expect("exec");
    // One in a cgroup below the container's is still its own.
    let below = container.cgroup().expect("a cgroup").join("below");
    std::fs::create_dir(&below).expect("made");
    std::fs::write(below.join("cgroup.procs"), exec.pid().as_raw_nonzero().to_string()).expect("moved");
    // The shell has forked, but its children may not have executed their program yet.
    let listed = loop {
        let listed = container.list_processes(0, MAX_PROCESSES).expect("listed");
        if listed.list.iter().filter(|process| process.comm == "sleep").count() == 3 {
            break listed;
        }
    };
    assert!(!listed.more && listed.memory_total > 0);
    let arguments: Vec<&str> = listed.list.iter().map(|process| process.args.as_str()).collect();
    assert_eq!(arguments.len(), 4, "{arguments:?}");
    for sleeps in ["sleep 1000", "sleep 1001", "sleep 1002"] {
        assert!(arguments.contains(&sleeps), "{arguments:?}");
    }
    let init = container.pid().as_raw_nonzero().get();
    for process in &listed.list {
        let (ppid, ids) = match process.args.as_str() {
            "sleep 1000" | "sleep 1001" => (init, (0, 0)),
            "sleep 1002" => (process.ppid, (33, 34)),
            _ => (process.ppid, (0, 0)),
        };
        assert_eq!((process.ppid, (process.uid, process.gid)), (ppid, ids), "{process:?}");
        assert!(process.rss_bytes > 0 && process.vsz_bytes > 0, "{process:?}");
        assert!("RSD".contains(&process.stat[..1]) && process.elapsed_ns < 600_000_000_000, "{process:?}");
    }
    let pids: Vec<i32> = listed.list.iter().map(|process| process.pid).collect();
    assert!(pids.is_sorted() && pids.contains(&init));
    let first = container.list_processes(0, 3).expect("listed");
    assert_eq!((first.list.len(), first.more), (3, true));
    let rest = container.list_processes(first.list[2].pid, 3).expect("listed");
    assert_eq!((rest.list.len(), rest.more, rest.list[0].pid), (1, false, pids[3]));

    container.signal(Signal::KILL).expect("killed");
    // The init of a PID namespace waits for those whose parents are outside.
    exec.wait().expect("waited");
    container.wait().expect("waited");
    assert!(container.list_processes(0, 1).expect_err("gone").to_string().ends_with("is not running"));
    container.delete().expect("deleted");
}

fn hostile_processes() {
    let bundle = Bundle::new();
    let output = Output::new();
    // A name with a bracket and an escape, and arguments of 10 kB with another one.
    let inner = r"printf ') R 1 \033[2J' > /proc/self/comm; echo up; while :; do sleep 1000; done";
    let script = r#"a=aaaaaaaaaa; for i in 1 2 3; do a=$a$a$a$a$a$a$a$a$a$a; done; exec sh -c "$0" "$(printf '\033]0;x\007')" $a"#;
    let container = start(&bundle, &spec(&bundle, &["sh", "-c", script, inner]), &output);
    output.wait_for("up");
    let listed = container.list_processes(0, MAX_PROCESSES).expect("listed");
    let init = &listed.list[0];
    assert_eq!((init.pid, init.comm.as_str()), (container.pid().as_raw_nonzero().get(), ") R 1 ?[2J"));
    assert!(init.args.ends_with("aaaa") && init.args.contains(" ?]0;x? aaaa"), "{init:?}");
    assert_eq!(init.args.len(), 4096);
    container.delete().expect("deleted");
}

fn usage() {
    let bundle = Bundle::new();
    let output = Output::new();
    let container = start(&bundle, &spec(&bundle, &["sleep", "1000"]), &output);
    let usage = container.usage().expect("usage");
    assert!(usage.stats.cpu_usage_usec.is_some() && usage.online_cpus.is_some_and(|count| count > 0));
    assert!(usage.memory_total.is_some_and(|total| total > 1 << 20));
    assert!(usage.system_cpu_usec > usage.stats.cpu_usage_usec, "{usage:?}");
    // There is loopback alone in a network namespace of its own.
    assert!(usage.interfaces.is_empty() && !container.shares_network(), "{usage:?}");
    container.delete().expect("deleted");
}

fn usage_of_a_shared_network() {
    let bundle = Bundle::new();
    let output = Output::new();
    let mut spec = spec(&bundle, &["sleep", "1000"]);
    linux(&mut spec, |linux| {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.retain(|namespace| namespace.typ() != Type::Network);
        linux.set_namespaces(Some(namespaces));
    });
    let container = start(&bundle, &spec, &output);
    assert!(container.shares_network());
    let ours = std::fs::read_to_string("/proc/net/dev").expect("read");
    for interface in container.usage().expect("usage").interfaces {
        assert!(ours.contains(&format!("{}:", interface.name)) && interface.name != "lo", "{interface:?}");
    }
    container.delete().expect("deleted");
}
