//! A storm: random verbs on a handful of containers while random processes of ours are killed.
//!
//! Whatever a verb says of it is right; what has to be right is what is left: nothing that nobody owns, states that are true,
//! a database that is sound, and a product that works.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{HostState, LIMIT, OurProcess, Running, Sandbox, until};

use super::own_root;

const NAMES: [&str; 3] = ["one", "two", "three"];
/// By hand: any other, `SANDBOX_STORM_SEED`.
const SEED: u64 = 4;

/// A xorshift generator: the same storm for the same seed, as far as the machine's own time allows.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// One verb's words.
fn verb(chance: &mut Chance, isolation: Isolation) -> Vec<String> {
    let name = chance.of(&NAMES);
    let run = format!("--isolation {} --name {name} localhost/busybox sleep", isolation.name());
    let line = match chance.below(18) {
        0..=2 => format!("run -d {run} 1000"),
        3 => format!("run -d --restart on-failure {run} 1000"),
        4 => format!("run --rm {run} 0.2"),
        5 | 6 => format!("exec {name} sleep 0.1"),
        7 => format!("stop -t 0 {name}"),
        8 => format!("kill {name}"),
        9 => format!("restart -t 0 {name}"),
        10..=12 => format!("start {name}"),
        13 | 14 => format!("rm -f {name}"),
        15 => format!("pause {name}"),
        16 => format!("unpause {name}"),
        _ => format!("cp /etc/passwd {name}:/tmp/copied"),
    };
    line.split(' ').map(str::to_owned).collect()
}

/// Waits for a command, which must end by itself.
fn finish(mut running: Running, what: &str) -> String {
    let end = Instant::now() + LIMIT;
    while running.0.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            running.0.kill().unwrap();
            panic!("{what} does not end: {:?}", running.finish());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let out = running.finish();
    assert!(!out.stderr.contains("panicked"), "{what}: {out:?}");
    format!("{} {}", out.code, out.stderr.lines().next().unwrap_or_default())
}

/// Says what happened up to a failure, and how to have it again.
struct Story {
    seed: u64,
    rounds: Vec<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("SANDBOX_STORM_SEED={} SANDBOX_STORM_ROUNDS={}", self.seed, self.rounds.len());
            for (n, round) in self.rounds.iter().enumerate() {
                println!("{n}: {round}");
            }
        }
    }
}

/// Every container is what it is said to be.
fn states_are_true(sandbox: &Sandbox) {
    let list = || {
        let list = ["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}"];
        sandbox.sandbox(list).expect_code(0).stdout
    };
    // One whose process was killed is started again soon.
    for line in until(list, |states| !states.contains("restarting")).lines() {
        let (id, state) = line.split_once(' ').unwrap();
        match state {
            "running" => {}
            "paused" => {
                sandbox.sandbox(["unpause", id]).expect_code(0);
            }
            "created" | "exited" => {
                let processes = || OurProcess::of_container(id);
                until(processes, Vec::is_empty);
                continue;
            }
            _ => panic!("{line}"),
        }
        sandbox.sandbox(["exec", id, "true"]).expect_code(0);
    }
}

#[rstest]
fn kills_among_random_verbs(#[values(Process, Vm)] isolation: Isolation) {
    let (_dir, sandbox) = own_root();
    let began = Instant::now();
    sandbox.run(isolation, ["localhost/busybox", "true"]).expect_code(0);
    // A kill comes at any time of what a run takes on this machine.
    let span = u64::try_from(began.elapsed().as_millis()).unwrap().max(1);
    let before = HostState::of(&sandbox);
    let rounds = number("SANDBOX_STORM_ROUNDS", if isolation == Vm { 12 } else { 40 });
    let mut story = Story { seed: number("SANDBOX_STORM_SEED", SEED), rounds: Vec::new() };
    let mut chance = Chance(story.seed | 1);
    for _ in 0..rounds {
        let words = verb(&mut chance, isolation);
        let what = words.join(" ");
        let running = Running(sandbox.command().args(&words).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(chance.below(span)));
        let all = OurProcess::all(&sandbox);
        let names: Vec<&OurProcess> = all.iter().collect();
        let victim = if names.is_empty() { None } else { Some(chance.of(&names)) };
        if let Some(victim) = victim {
            // It may have ended just now.
            let _ = kill(victim.pid, Signal::SIGKILL);
        }
        // Said before the wait, which may fail.
        story.rounds.push(format!("{what}; killed {}", victim.map_or("nobody", |victim| &victim.name)));
        let end = finish(running, &what);
        if let Some(round) = story.rounds.last_mut() {
            *round += " -> ";
            *round += &end;
        }
    }
    // The orphans of the last round end by themselves; a command removes what they could not.
    let check = || {
        sandbox.sandbox(["ps", "-aq"]).expect_code(0);
        let out = sandbox.sandbox(["system", "check"]);
        (out.code, out.stdout, out.stderr)
    };
    until(check, |(code, out, err)| *code == 0 && out.is_empty() && err.is_empty());
    states_are_true(&sandbox);

    let left = sandbox.sandbox(["ps", "-aq"]).expect_code(0).stdout;
    let all: Vec<&str> = ["rm", "-f"].into_iter().chain(left.lines()).collect();
    if all.len() > 2 {
        sandbox.sandbox(&all).expect_code(0);
    }
    sandbox.run(isolation, ["localhost/busybox", "true"]).expect_code(0);
    assert_eq!(HostState::of(&sandbox), before);
}
