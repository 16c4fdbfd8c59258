//! Many containers alive at once.

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{HostState, Sandbox};

use super::own_root;

/// How many of each isolation: `SANDBOX_MANY=PROCESS,VM`, by hand 100,20.
fn counts() -> [(Isolation, usize); 2] {
    let wanted = std::env::var("SANDBOX_MANY").unwrap_or_else(|_| "20,4".to_owned());
    let (process, vm) = wanted.split_once(',').expect("SANDBOX_MANY=PROCESS,VM");
    [(Process, process.parse().unwrap()), (Vm, vm.parse().unwrap())]
}

fn lines(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    sandbox.sandbox(arguments).expect_code(0).stdout.lines().map(str::to_owned).collect()
}

#[rstest]
fn many_of_both_isolations() {
    let (_dir, sandbox) = own_root();
    let before = HostState::of(&sandbox);
    let mut ids = Vec::new();
    for (isolation, count) in counts() {
        for n in 0..count {
            let name = format!("{}-{n}", isolation.name());
            let flags = ["run", "-d", "--isolation", isolation.name(), "--name", &name, "-m", "128m"];
            // Hosts without the controller have no limit to give to a process container.
            let flags = if isolation == Vm { &flags[..] } else { &flags[..6] };
            let out =
                sandbox.sandbox([flags, &["localhost/busybox", "sleep", "10000"]].concat()).expect_code(0);
            ids.push(out.stdout.trim()[..12].to_owned());
        }
    }
    ids.reverse();
    assert_eq!(lines(&sandbox, &["ps", "-q"]), ids, "newest first");
    for (isolation, count) in counts() {
        let filter = format!("isolation={}", isolation.name());
        assert_eq!(lines(&sandbox, &["ps", "-q", "--filter", &filter]).len(), count);
        if count > 0 {
            // The first is as well as the last.
            for n in [0, count - 1] {
                let name = format!("{}-{n}", isolation.name());
                sandbox.sandbox(["exec", &name, "true"]).expect_code(0);
            }
        }
    }
    let all: Vec<&str> = ["rm", "-f"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    assert_eq!(lines(&sandbox, &all), ids);
    assert!(lines(&sandbox, &["ps", "-aq"]).is_empty());
    assert_eq!(sandbox.sandbox(["system", "check"]).expect_code(0).stdout, "");
    assert_eq!(HostState::of(&sandbox), before);
}
