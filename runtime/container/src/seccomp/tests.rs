use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator as Operator, LinuxSyscallBuilder,
};

use super::bpf::{ALU_AND_K, Instruction, JA, JEQ_K, JGE_K, JGT_K, LD_W_ABS, RET_K};
use super::compile::{AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, compile};

/// What the kernel would answer for this call: an interpreter of the instructions we emit.
fn run(program: &[Instruction], arch: u32, nr: u32, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(nr.to_le_bytes());
    data.extend(arch.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    for arg in args {
        data.extend(arg.to_le_bytes());
    }
    let (mut a, mut pc) = (0u32, 0usize);
    loop {
        let insn = program[pc];
        pc += 1;
        let branch = |holds: bool| pc + usize::from(if holds { insn.jt } else { insn.jf });
        match insn.code {
            LD_W_ABS => {
                let at = insn.k as usize;
                a = u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"));
            }
            ALU_AND_K => a &= insn.k,
            JA => pc += insn.k as usize,
            JEQ_K => pc = branch(a == insn.k),
            JGT_K => pc = branch(a > insn.k),
            JGE_K => pc = branch(a >= insn.k),
            RET_K => return insn.k,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL_PROCESS: u32 = 0x8000_0000;
const X64: u32 = AUDIT_ARCH_X86_64;
const X32: u32 = 0x4000_0000;

type Holds = fn(u64, u64) -> bool;

fn rule(names: &[&str], action: Action, args: &[LinuxSeccompArg]) -> oci_spec::runtime::LinuxSyscall {
    LinuxSyscallBuilder::default()
        .names(names.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())
        .action(action)
        .args(args.to_vec())
        .build()
        .expect("a rule")
}

fn arg(index: usize, op: Operator, value: u64, two: u64) -> LinuxSeccompArg {
    LinuxSeccompArgBuilder::default().index(index).op(op).value(value).value_two(two).build().expect("an arg")
}

fn profile(default: Action, arches: &[Arch], rules: Vec<oci_spec::runtime::LinuxSyscall>) -> LinuxSeccomp {
    LinuxSeccompBuilder::default()
        .default_action(default)
        .architectures(arches.to_vec())
        .syscalls(rules)
        .build()
        .expect("a profile")
}

#[test]
fn numbers_arches_and_newer_calls() {
    let all = [Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32];
    let rules =
        vec![rule(&["read", "write", "openat2", "socketcall", "nonsense"], Action::ScmpActAllow, &[])];
    let filter = compile(&profile(Action::ScmpActErrno, &all, rules.clone())).expect("compiles").program;
    for (arch, nr, expected) in [
        (X64, 0, ALLOW),
        (X64, 1, ALLOW),
        (X64, 2, EPERM),
        (X64, 437, ALLOW),
        (X64, 436, EPERM),
        (X64, 438, ENOSYS),
        (X64, u32::MAX, EPERM),
        (X64, 0x4000_0000, ALLOW),
        (X64, 0x4000_0002, EPERM),
        (X64, X32 + 437, ALLOW),
        (X64, X32 + 520, EPERM),
        (X64, X32 + 548, ENOSYS),
        (AUDIT_ARCH_I386, 3, ALLOW),
        (AUDIT_ARCH_I386, 0, EPERM),
        (AUDIT_ARCH_I386, 102, ALLOW),
        (0xc000_00b7, 0, KILL_PROCESS),
    ] {
        assert_eq!(run(&filter, arch, nr, [0; 6]), expected, "arch {arch:#x} nr {nr:#x}");
    }
    // Without x32 and x86 in the profile their calls are not answered by the native rules.
    let filter = compile(&profile(Action::ScmpActErrno, &[], rules)).expect("compiles").program;
    assert_eq!(run(&filter, X64, 0, [0; 6]), ALLOW);
    assert_eq!(run(&filter, X64, 0x4000_0000, [0; 6]), KILL_PROCESS);
    assert_eq!(run(&filter, X64, u32::MAX, [0; 6]), EPERM);
    assert_eq!(run(&filter, AUDIT_ARCH_I386, 3, [0; 6]), KILL_PROCESS);
}

#[test]
fn a_permissive_profile_knows_no_newer_calls() {
    let rules = vec![rule(&["mount"], Action::ScmpActErrno, &[])];
    let filter = compile(&profile(Action::ScmpActAllow, &[], rules)).expect("compiles").program;
    assert_eq!(run(&filter, X64, libc::SYS_mount as u32, [0; 6]), EPERM);
    assert_eq!(run(&filter, X64, 9999, [0; 6]), ALLOW);
}

#[test]
fn comparisons_agree_with_arithmetic() {
    let interesting =
        [0, 1, 2, 0xffff_fffe, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX - 1, u64::MAX];
    let operators: [(Operator, Holds); 6] = [
        (Operator::ScmpCmpEq, |a, b| a == b),
        (Operator::ScmpCmpNe, |a, b| a != b),
        (Operator::ScmpCmpLt, |a, b| a < b),
        (Operator::ScmpCmpLe, |a, b| a <= b),
        (Operator::ScmpCmpGt, |a, b| a > b),
        (Operator::ScmpCmpGe, |a, b| a >= b),
    ];
    for (op, holds) in operators {
        for value in interesting {
            let rules = vec![rule(&["read"], Action::ScmpActAllow, &[arg(5, op, value, 0)])];
            let filter = compile(&profile(Action::ScmpActErrno, &[], rules)).expect("compiles").program;
            for actual in interesting {
                let expected = if holds(actual, value) { ALLOW } else { EPERM };
                assert_eq!(
                    run(&filter, X64, 0, [0, 0, 0, 0, 0, actual]),
                    expected,
                    "{actual:#x} {op:?} {value:#x}"
                );
            }
        }
    }
    for mask in interesting {
        for datum in interesting {
            let rules = vec![rule(
                &["read"],
                Action::ScmpActAllow,
                &[arg(0, Operator::ScmpCmpMaskedEq, mask, datum)],
            )];
            let filter = compile(&profile(Action::ScmpActErrno, &[], rules)).expect("compiles").program;
            for actual in interesting {
                let expected = if actual & mask == datum { ALLOW } else { EPERM };
                assert_eq!(run(&filter, X64, 0, [actual, 0, 0, 0, 0, 0]), expected);
            }
        }
    }
}

#[test]
fn several_rules_for_one_call() {
    let eq = |index, value| arg(index, Operator::ScmpCmpEq, value, 0);
    let both = vec![rule(&["read"], Action::ScmpActAllow, &[eq(0, 1), eq(1, 2)])];
    let filter = compile(&profile(Action::ScmpActErrno, &[], both)).expect("compiles").program;
    assert_eq!(run(&filter, X64, 0, [1, 2, 0, 0, 0, 0]), ALLOW);
    assert_eq!(run(&filter, X64, 0, [1, 3, 0, 0, 0, 0]), EPERM);
    // The same argument twice means "either".
    let either = vec![rule(&["read"], Action::ScmpActAllow, &[eq(0, 1), eq(0, 2)])];
    let filter = compile(&profile(Action::ScmpActErrno, &[], either)).expect("compiles").program;
    for (value, expected) in [(1, ALLOW), (2, ALLOW), (3, EPERM)] {
        assert_eq!(run(&filter, X64, 0, [value, 0, 0, 0, 0, 0]), expected);
    }
    // A rule without conditions beats those with.
    for order in [[0, 1], [1, 0]] {
        let rules = [
            rule(&["read"], Action::ScmpActKillProcess, &[eq(0, 1)]),
            rule(&["read"], Action::ScmpActAllow, &[]),
        ];
        let rules = order.iter().map(|&i: &usize| rules[i].clone()).collect();
        let filter = compile(&profile(Action::ScmpActErrno, &[], rules)).expect("compiles").program;
        assert_eq!(run(&filter, X64, 0, [1, 0, 0, 0, 0, 0]), ALLOW);
    }
}

#[test]
fn long_profiles_jump_far() {
    // Conditions on every other call make the halves of the tree longer than a conditional jump reaches.
    let rules: Vec<_> =
        ["read", "open", "stat", "lstat", "lseek", "mprotect", "brk", "ioctl", "readv", "access"]
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let args: Vec<_> =
                    (0..6).map(|index| arg(index, Operator::ScmpCmpMaskedEq, u64::MAX, i as u64)).collect();
                rule(&[name], Action::ScmpActAllow, &args)
            })
            .collect();
    let filter = compile(&profile(Action::ScmpActErrno, &[], rules)).expect("compiles").program;
    assert!(filter.len() > 300);
    for (i, nr) in [0u32, 2, 4, 6, 8, 10, 12, 16, 19, 21].into_iter().enumerate() {
        assert_eq!(run(&filter, X64, nr, [i as u64; 6]), ALLOW, "nr {nr}");
        assert_eq!(run(&filter, X64, nr, [99; 6]), EPERM, "nr {nr}");
        assert_eq!(
            run(&filter, X64, nr + 1, [i as u64; 6]),
            if nr == 21 { ENOSYS } else { EPERM },
            "nr {nr}+1"
        );
    }
}

#[test]
fn nonsense_is_refused() {
    let refused = |profile: &LinuxSeccomp| compile(profile).expect_err("refused").to_string();
    let rules = vec![rule(&["read"], Action::ScmpActAllow, &[arg(6, Operator::ScmpCmpEq, 0, 0)])];
    assert!(refused(&profile(Action::ScmpActErrno, &[], rules)).contains("index 6"));
    assert!(refused(&profile(Action::ScmpActNotify, &[], vec![])).contains("NOTIFY"));
    let mut errno = profile(Action::ScmpActErrno, &[], vec![]);
    errno.set_default_errno_ret(Some(4096));
    assert!(refused(&errno).contains("4096"));
    let many = (0..800)
        .map(|i| {
            rule(&["read"], Action::ScmpActAllow, &[arg(0, Operator::ScmpCmpMaskedEq, 1 << (i % 64), 0)])
        })
        .collect();
    assert!(refused(&profile(Action::ScmpActErrno, &[], many)).contains("instructions"));
}

#[test]
fn dockers_profile_answers_as_dockers() {
    use oci_spec::runtime::Capability;
    let plain =
        compile(&crate::defaults::seccomp(&crate::defaults::capabilities())).expect("compiles").program;
    let admin = compile(&crate::defaults::seccomp(&[Capability::SysAdmin])).expect("compiles").program;
    let nr = |number: i64| number as u32;
    let newuser = libc::CLONE_NEWUSER as u64;
    for (call, args, plainly, as_admin) in [
        (libc::SYS_read, [0; 6], ALLOW, ALLOW),
        (libc::SYS_mount, [0; 6], EPERM, ALLOW),
        (libc::SYS_clone, [0x11, 0, 0, 0, 0, 0], ALLOW, ALLOW),
        (libc::SYS_clone, [newuser, 0, 0, 0, 0, 0], EPERM, ALLOW),
        (libc::SYS_clone3, [0; 6], ENOSYS, ALLOW),
        (libc::SYS_unshare, [0; 6], EPERM, ALLOW),
        (libc::SYS_socket, [1, 1, 0, 0, 0, 0], ALLOW, ALLOW),
        (libc::SYS_socket, [libc::AF_VSOCK as u64, 1, 0, 0, 0, 0], EPERM, EPERM),
        (libc::SYS_socket, [libc::AF_ALG as u64, 1, 0, 0, 0, 0], EPERM, EPERM),
        (libc::SYS_socket, [libc::AF_NFC as u64, 1, 0, 0, 0, 0], ALLOW, ALLOW),
        (libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0], ALLOW, ALLOW),
        (libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0, 0], EPERM, EPERM),
        (libc::SYS_chroot, [0; 6], ALLOW, EPERM),
        (libc::SYS_keyctl, [0; 6], EPERM, EPERM),
        (libc::SYS_reboot, [0; 6], EPERM, EPERM),
        (libc::SYS_ptrace, [0; 6], ALLOW, ALLOW),
        (libc::SYS_io_uring_setup, [0; 6], EPERM, EPERM),
        (9999, [0; 6], ENOSYS, ENOSYS),
    ] {
        assert_eq!(run(&plain, X64, nr(call), args), plainly, "call {call} {args:?}");
        assert_eq!(run(&admin, X64, nr(call), args), as_admin, "as admin: call {call} {args:?}");
    }
    assert_eq!(run(&plain, AUDIT_ARCH_I386, 102, [0; 6]), ALLOW, "socketcall of 32-bit programs");
    assert!(plain.len() < 1000, "{} instructions", plain.len());
}
