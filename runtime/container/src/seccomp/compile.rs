//! From the OCI profile to one BPF program.
//!
//! Where the OCI text leaves things open it does what runc with libseccomp does: a rule without
//! arguments beats rules with arguments for the same call; several conditions on one argument in one rule
//! are alternatives; names unknown here are skipped; a rule that says the same as the default is
//! skipped; and calls newer than everything the profile names answer ENOSYS instead of a
//! denial, so that programs fall back to what they used before.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompFilterFlag as Flag,
    LinuxSeccompOperator as Operator,
};

use super::Filter;
use super::bpf::{
    ALU_AND_K, Instruction, JEQ_K, JGE_K, JGT_K, LD_W_ABS, MAX_INSTRUCTIONS, OFFSET_ARCH, OFFSET_NR, RET_K,
    Segment, jump, offset_arg, search, statement,
};
use super::syscalls::{Abi, X32_BIT, X32_NEWEST_OWN, number};
use crate::error::Error;

/// AUDIT_ARCH_* of `linux/audit.h`.
pub(super) const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
pub(super) const AUDIT_ARCH_I386: u32 = 0x4000_0003;

const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_KILL_THREAD: u32 = 0;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

/// The kernel's MAX_ERRNO.
const MAX_ERRNO: u32 = 4095;
/// The number that marks a call which a tracer cancelled.
const NR_SKIPPED: u32 = u32::MAX;

/// One condition on one argument.
type Condition = LinuxSeccompArg;

/// What the profile says about one system call of one instruction set.
#[derive(Default)]
struct Rules {
    always: Option<u32>,
    conditional: Vec<(Vec<Condition>, u32)>,
}

/// Compiles `profile` for this machine.
///
/// # Errors
/// [`Error::Spec`] for argument indexes above 5, error numbers above 4095, NOTIFY as default action, and
/// programs longer than the kernel takes.
pub(crate) fn compile(profile: &LinuxSeccomp) -> Result<Filter, Error> {
    let default = action_value(profile.default_action(), profile.default_errno_ret())?;
    if profile.default_action() == Action::ScmpActNotify {
        return Err(Error::spec("linux.seccomp: SCMP_ACT_NOTIFY cannot be the default action"));
    }
    let abis = abis(profile);
    let mut program = vec![statement(LD_W_ABS, OFFSET_ARCH)];
    // 32-bit calls are rare: they come last.
    let x86 = abis
        .contains(&Abi::X86)
        .then(|| tree(profile, default, &[Abi::X86]))
        .transpose()?
        .unwrap_or_else(|| vec![statement(RET_K, RET_KILL_PROCESS)]);
    let native: Vec<Abi> = abis.iter().copied().filter(|&abi| abi != Abi::X86).collect();
    let native = tree(profile, default, &native)?;
    program.push(jump(JEQ_K, AUDIT_ARCH_X86_64, 0, 1));
    program.push(statement(super::bpf::JA, 3));
    program.push(jump(JEQ_K, AUDIT_ARCH_I386, 0, 1));
    program.push(statement(super::bpf::JA, 1 + native.len() as u32));
    program.push(statement(RET_K, RET_KILL_PROCESS));
    program.extend(native);
    program.extend(x86);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Error::spec(format!(
            "linux.seccomp: the profile compiles to {} instructions, the kernel takes {MAX_INSTRUCTIONS}",
            program.len()
        )));
    }
    let notifies = profile.syscalls().iter().flatten().any(|rule| rule.action() == Action::ScmpActNotify);
    Ok(Filter { program, flags: flags(profile), notifies })
}

fn abis(profile: &LinuxSeccomp) -> Vec<Abi> {
    // Other machines' instruction sets cannot occur on this kernel: profiles that list them are fine.
    let mut abis = vec![Abi::X86_64];
    for arch in profile.architectures().iter().flatten() {
        let abi = match arch {
            Arch::ScmpArchX86 => Abi::X86,
            Arch::ScmpArchX32 => Abi::X32,
            _ => continue,
        };
        if !abis.contains(&abi) {
            abis.push(abi);
        }
    }
    abis
}

fn flags(profile: &LinuxSeccomp) -> u32 {
    let Some(flags) = profile.flags() else {
        // Without a word about it, speculation stays as fast as outside, as runc and Docker have it.
        return libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32;
    };
    flags.iter().fold(0, |all, flag| {
        all | match flag {
            Flag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG as u32,
            Flag::SeccompFilterFlagTsync => libc::SECCOMP_FILTER_FLAG_TSYNC as u32,
            Flag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32,
            Flag::SeccompFilterFlagWaitKillableRecv => libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV as u32,
        }
    })
}

fn action_value(action: Action, errno: Option<u32>) -> Result<u32, Error> {
    let errno = errno.unwrap_or(libc::EPERM as u32);
    if errno > MAX_ERRNO && matches!(action, Action::ScmpActErrno | Action::ScmpActTrace) {
        return Err(Error::spec(format!("linux.seccomp: errnoRet {errno} is above {MAX_ERRNO}")));
    }
    Ok(match action {
        Action::ScmpActKill | Action::ScmpActKillThread => RET_KILL_THREAD,
        Action::ScmpActKillProcess => RET_KILL_PROCESS,
        Action::ScmpActTrap => RET_TRAP,
        Action::ScmpActErrno => RET_ERRNO | errno,
        Action::ScmpActNotify => RET_USER_NOTIF,
        Action::ScmpActTrace => RET_TRACE | errno,
        Action::ScmpActLog => RET_LOG,
        Action::ScmpActAllow => RET_ALLOW,
    })
}

/// The search tree for all numbers that can come with one AUDIT_ARCH value.
fn tree(profile: &LinuxSeccomp, default: u32, abis: &[Abi]) -> Result<Vec<Instruction>, Error> {
    let mut segments = Vec::new();
    for &abi in abis {
        abi_segments(profile, default, abi, &mut segments)?;
    }
    let ret = |value| vec![statement(RET_K, value)];
    if abis.contains(&Abi::X86_64) {
        if !abis.contains(&Abi::X32) {
            segments.push(Segment { start: X32_BIT, code: ret(RET_KILL_PROCESS) });
        }
        segments.push(Segment { start: NR_SKIPPED, code: ret(default) });
    }
    segments.dedup_by(|later, earlier| later.code == earlier.code);
    let mut code = vec![statement(LD_W_ABS, OFFSET_NR)];
    code.extend(search(&segments));
    Ok(code)
}

fn abi_segments(
    profile: &LinuxSeccomp,
    default: u32,
    abi: Abi,
    segments: &mut Vec<Segment>,
) -> Result<(), Error> {
    let ret = |value| vec![statement(RET_K, value)];
    let (rules, newest) = collect(profile, default, abi)?;
    let first = if abi == Abi::X32 { X32_BIT } else { 0 };
    let mut next = first;
    for (&number, rules) in &rules {
        if number > next {
            segments.push(Segment { start: next, code: ret(default) });
        }
        let code =
            rules.always.map_or_else(|| rules_code(&rules.conditional, default), |value| Ok(ret(value)))?;
        segments.push(Segment { start: number, code });
        next = number + 1;
    }
    if newest >= next {
        segments.push(Segment { start: next, code: ret(default) });
        next = newest + 1;
    }
    let denies = matches!(
        profile.default_action(),
        Action::ScmpActErrno
            | Action::ScmpActKill
            | Action::ScmpActKillThread
            | Action::ScmpActKillProcess
            | Action::ScmpActTrap
    );
    let newer = if denies && newest > first { RET_ERRNO | libc::ENOSYS as u32 } else { default };
    segments.push(Segment { start: next, code: ret(newer) });
    Ok(())
}

/// Rules by number, and the newest number that the profile knows of in any rule.
fn collect(profile: &LinuxSeccomp, default: u32, abi: Abi) -> Result<(BTreeMap<u32, Rules>, u32), Error> {
    let mut rules: BTreeMap<u32, Rules> = BTreeMap::new();
    let mut newest = 0;
    for rule in profile.syscalls().iter().flatten() {
        let value = action_value(rule.action(), rule.errno_ret())?;
        let conditions = rule.args().as_deref().unwrap_or_default();
        if let Some(wrong) = conditions.iter().find(|condition| condition.index() > 5) {
            return Err(Error::spec(format!("linux.seccomp: argument index {} is above 5", wrong.index())));
        }
        for name in rule.names() {
            let Some(number) = number(name, abi) else { continue };
            newest = newest.max(number);
            if rule.action() == Action::ScmpActNotify && name == "write" {
                return Err(Error::spec(
                    "linux.seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall",
                ));
            }
            if value == default {
                continue;
            }
            let entry = rules.entry(number).or_default();
            if conditions.is_empty() {
                entry.always = Some(value);
            } else {
                entry.conditional.extend(alternatives(conditions).into_iter().map(|all| (all, value)));
            }
        }
    }
    if abi == Abi::X32 && newest > 0 {
        // x32's own numbers lie above the shared ones and are old.
        newest = newest.max(X32_NEWEST_OWN);
    }
    Ok((rules, newest))
}

/// One list of conditions that all have to hold; or, when an argument appears twice, one list for each condition.
fn alternatives(conditions: &[Condition]) -> Vec<Vec<Condition>> {
    let twice =
        (0..=5).any(|index| conditions.iter().filter(|condition| condition.index() == index).count() > 1);
    if twice { conditions.iter().map(|&one| vec![one]).collect() } else { vec![conditions.to_vec()] }
}

/// Rules one after the other; the first that matches decides.
fn rules_code(rules: &[(Vec<Condition>, u32)], default: u32) -> Result<Vec<Instruction>, Error> {
    let mut code = Vec::new();
    for (conditions, value) in rules {
        let mut body: Vec<Draft> = conditions.iter().flat_map(condition_code).collect();
        body.push(Draft::Plain(statement(RET_K, *value)));
        let length = body.len();
        for (position, draft) in body.into_iter().enumerate() {
            let after = u8::try_from(length - position - 1)
                .map_err(|_| Error::spec("linux.seccomp: a rule has too many conditions"))?;
            code.push(draft.resolve(after));
        }
    }
    code.push(statement(RET_K, default));
    Ok(code)
}

/// An instruction whose way to "this rule does not match" is not known yet.
enum Draft {
    Plain(Instruction),
    /// Jump to the next rule if true, go on by `1` (skip count) if false.
    FailIfTrue {
        code: u16,
        k: u32,
        otherwise: u8,
    },
    FailIfFalse {
        code: u16,
        k: u32,
        then: u8,
    },
}

impl Draft {
    fn resolve(self, fail: u8) -> Instruction {
        match self {
            Draft::Plain(instruction) => instruction,
            Draft::FailIfTrue { code, k, otherwise } => jump(code, k, fail, otherwise),
            Draft::FailIfFalse { code, k, then } => jump(code, k, then, fail),
        }
    }
}

/// Falls through when the condition holds.
fn condition_code(condition: &Condition) -> Vec<Draft> {
    use Draft::{FailIfFalse, FailIfTrue, Plain};
    let low = Plain(statement(LD_W_ABS, offset_arg(condition.index() as u32)));
    let high = Plain(statement(LD_W_ABS, offset_arg(condition.index() as u32) + 4));
    let (value_high, value_low) = ((condition.value() >> 32) as u32, condition.value() as u32);
    // "Skip the two instructions that look at the low half": the high half has decided already.
    let decided = 2;
    match condition.op() {
        Operator::ScmpCmpEq => vec![
            high,
            FailIfFalse { code: JEQ_K, k: value_high, then: 0 },
            low,
            FailIfFalse { code: JEQ_K, k: value_low, then: 0 },
        ],
        Operator::ScmpCmpNe => vec![
            high,
            Plain(jump(JEQ_K, value_high, 0, decided)),
            low,
            FailIfTrue { code: JEQ_K, k: value_low, otherwise: 0 },
        ],
        Operator::ScmpCmpGt | Operator::ScmpCmpGe => {
            let code = if condition.op() == Operator::ScmpCmpGt { JGT_K } else { JGE_K };
            vec![
                high,
                Plain(jump(JGT_K, value_high, decided + 1, 0)),
                FailIfFalse { code: JEQ_K, k: value_high, then: 0 },
                low,
                FailIfFalse { code, k: value_low, then: 0 },
            ]
        }
        Operator::ScmpCmpLt | Operator::ScmpCmpLe => {
            let code = if condition.op() == Operator::ScmpCmpLt { JGE_K } else { JGT_K };
            vec![
                high,
                FailIfTrue { code: JGT_K, k: value_high, otherwise: 0 },
                Plain(jump(JEQ_K, value_high, 0, decided)),
                low,
                FailIfTrue { code, k: value_low, otherwise: 0 },
            ]
        }
        Operator::ScmpCmpMaskedEq => {
            let datum = condition.value_two().unwrap_or(0);
            vec![
                high,
                Plain(statement(ALU_AND_K, value_high)),
                FailIfFalse { code: JEQ_K, k: (datum >> 32) as u32, then: 0 },
                low,
                Plain(statement(ALU_AND_K, value_low)),
                FailIfFalse { code: JEQ_K, k: datum as u32, then: 0 },
            ]
        }
    }
}
