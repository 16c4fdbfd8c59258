//! Turns tables into BPF programs that look a system call up by binary search.
//!
//! When a filter is installed the kernel runs it once for each system call number to learn which need no look at
//! their arguments (Linux kernel/seccomp.c, `seccomp_cache_prepare`); a program that compares one number after the
//! other makes that the most expensive part of starting a thread.

use std::collections::BTreeMap;
use std::io;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP, SECCOMP_SET_MODE_FILTER, SYS_seccomp,
    sock_filter, sock_fprog,
};

use super::rule::{Argument, Rule};

/// `AUDIT_ARCH_X86_64` (linux/audit.h).
const ARCH_X86_64: u32 = 0xc000_003e;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What happens from one system call number to the next segment's.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Trap,
    Allow,
    /// Allowed if one of the conditions holds.
    If(Vec<Argument>),
}

#[derive(Debug)]
struct Segment {
    first: u32,
    verdict: Verdict,
}

/// Compiles tables; what they do not name raises SIGSYS, other architectures' calls kill.
pub(super) fn compile<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<sock_filter> {
    let mut program = vec![
        statement(BPF_LD | BPF_W | BPF_ABS, ARCH),
        jump(BPF_JEQ, ARCH_X86_64, 1, 0),
        statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        statement(BPF_LD | BPF_W | BPF_ABS, NUMBER),
    ];
    program.extend(search(&segments(rules)));
    program
}

/// Installs a program on the calling thread, which has no_new_privs.
///
/// # Errors
/// Those of seccomp(2).
pub(super) fn install(program: &[sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the program that the structure points to and nothing else.
    let result = unsafe { libc::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The whole range of numbers, cut where the verdict changes; the first begins at 0.
fn segments<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Segment> {
    let mut calls: BTreeMap<u32, Vec<Option<Argument>>> = BTreeMap::new();
    for rule in rules {
        calls.entry(rule.call() as u32).or_default().push(rule.argument());
    }
    let mut segments: Vec<Segment> = Vec::new();
    let mut add = |first, verdict| {
        if segments.last().is_none_or(|last| last.verdict != verdict) {
            segments.push(Segment { first, verdict });
        }
    };
    let mut next = 0;
    for (number, conditions) in calls {
        if number > next || number == 0 && next == 0 {
            add(next, Verdict::Trap);
        }
        // A call without conditions in one table is free of those in another.
        let verdict = conditions.into_iter().collect::<Option<_>>().map_or(Verdict::Allow, Verdict::If);
        add(number, verdict);
        next = number + 1;
    }
    add(next, Verdict::Trap);
    // A table with system call 0 makes an empty segment before it.
    segments.dedup_by(|later, earlier| {
        let empty = later.first == earlier.first;
        if empty {
            std::mem::swap(later, earlier);
        }
        empty
    });
    segments
}

/// Code that decides about the number in the accumulator.
fn search(segments: &[Segment]) -> Vec<sock_filter> {
    let (left, right) = segments.split_at(segments.len() / 2);
    let (Some(_), Some(pivot)) = (left.first(), right.first()) else {
        return segments.first().map_or_else(|| verdict(&Verdict::Trap), |only| verdict(&only.verdict));
    };
    let (left, right) = (search(left), search(right));
    let mut code = match u8::try_from(left.len()) {
        Ok(skip) => vec![jump(BPF_JGE, pivot.first, skip, 0)],
        Err(_) => {
            vec![jump(BPF_JGE, pivot.first, 0, 1), statement(BPF_JMP | BPF_JA, left.len() as u32)]
        }
    };
    code.extend(left);
    code.extend(right);
    code
}

fn verdict(verdict: &Verdict) -> Vec<sock_filter> {
    let allow = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    let trap = statement(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    match verdict {
        Verdict::Trap => vec![trap],
        Verdict::Allow => vec![allow],
        Verdict::If(conditions) => {
            let mut code = Vec::with_capacity(conditions.len() * 4 + 1);
            for condition in conditions {
                // The low half of a little endian 64-bit argument: the ones we look at are ints.
                code.push(statement(BPF_LD | BPF_W | BPF_ABS, ARGUMENTS + 8 * u32::from(condition.index)));
                if condition.mask != u32::MAX {
                    code.push(statement(BPF_ALU | BPF_AND | BPF_K, condition.mask));
                }
                code.push(jump(BPF_JEQ, condition.value, 0, 1));
                code.push(allow);
            }
            code.push(trap);
            code
        }
    }
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::super::rule::{allow, allow_if};
    use super::*;

    /// What the kernel would do: runs the program over one system call.
    fn run(program: &[sock_filter], number: u32, argument: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = program[at];
            at += 1;
            match u32::from(instruction.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = match instruction.k {
                        NUMBER => number,
                        ARCH => ARCH_X86_64,
                        _ => argument,
                    }
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= instruction.k,
                code if code == BPF_JMP | BPF_JA => at += instruction.k as usize,
                code if code == BPF_RET | BPF_K => return instruction.k,
                code => {
                    let holds = match code {
                        code if code == BPF_JMP | BPF_JEQ | BPF_K => accumulator == instruction.k,
                        code if code == BPF_JMP | BPF_JGE | BPF_K => accumulator >= instruction.k,
                        code => panic!("unknown instruction {code:#x}"),
                    };
                    at += usize::from(if holds { instruction.jt } else { instruction.jf });
                }
            }
        }
    }

    #[test]
    fn exactly_the_named_calls_pass() {
        for table in [
            vec![allow(0), allow(1), allow(5)],
            vec![allow(3)],
            vec![],
            (0..400).filter(|n| n % 3 != 0).map(allow).collect::<Vec<_>>(),
        ] {
            let program = compile(table.iter());
            for number in (0..500).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
                let named = table.iter().any(|rule| rule.call() == i64::from(number));
                let expected = if named { SECCOMP_RET_ALLOW } else { SECCOMP_RET_TRAP };
                assert_eq!(run(&program, number, 0), expected, "{number} in {table:?}");
            }
        }
    }

    #[test]
    fn conditions_are_alternatives_and_a_free_rule_wins() {
        let table = [allow_if(7, 1, 10), allow_if(7, 1, 20), allow_if(9, 0, 1), allow(9)];
        let program = compile(table.iter());
        let verdicts = [(7, 10), (7, 20), (7, 30), (9, 5), (8, 10)].map(|(n, a)| run(&program, n, a));
        let (yes, no) = (SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP);
        assert_eq!(verdicts, [yes, yes, no, yes, no]);
    }
}
