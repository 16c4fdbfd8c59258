//! The device program: eBPF that the kernel asks at every open and mknod of a device node.
//!
//! Assembled here and loaded with bpf(2). The context is `struct bpf_cgroup_dev_ctx` of `linux/bpf.h`:
//! u32 access_type (access << 16 | type), u32 major, u32 minor; 1 allows, 0 is EPERM.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use oci_spec::runtime::LinuxDeviceCgroup;
use rustix::io::Errno;

use super::Cgroup;
use super::device_rules::{ACCESS_ALL, DeviceRules, Exception};
use crate::error::{Context, Error};
use crate::sys;

const BPF_PROG_LOAD: usize = 5;
const BPF_PROG_ATTACH: usize = 8;
const BPF_PROG_DETACH: usize = 9;
const BPF_PROG_GET_FD_BY_ID: usize = 13;
const BPF_PROG_QUERY: usize = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of outer cgroups keep running, too: ours can only take away.
const BPF_F_ALLOW_MULTI: u32 = 2;
/// As many as a cgroup holds (BPF_CGROUP_MAX_PROGS).
const MAX_PROGRAMS: usize = 64;

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// Destination in the low nibble, source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LDX_W: u8 = 0x61;
const AND_K: u8 = 0x54;
const RSH_K: u8 = 0x74;
const MOV32_X: u8 = 0xbc;
const MOV32_K: u8 = 0xb4;
const JNE_K: u8 = 0x55;
const JNE_X: u8 = 0x5d;
const JEQ_K: u8 = 0x15;
const EXIT: u8 = 0x95;

fn insn(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: src << 4 | dst, offset, immediate }
}

/// r2 type, r3 access, r4 major, r5 minor; then one block for each exception.
fn assemble(rules: &DeviceRules) -> Vec<Instruction> {
    let mut program = vec![
        insn(LDX_W, 2, 1, 0, 0),
        insn(MOV32_X, 3, 2, 0, 0),
        insn(AND_K, 2, 0, 0, 0xffff),
        insn(RSH_K, 3, 0, 0, 16),
        insn(LDX_W, 4, 1, 4, 0),
        insn(LDX_W, 5, 1, 8, 0),
    ];
    for exception in &rules.exceptions {
        program.extend(block(exception, !rules.allow_by_default));
    }
    program.push(insn(MOV32_K, 0, 0, 0, i32::from(rules.allow_by_default)));
    program.push(insn(EXIT, 0, 0, 0, 0));
    program
}

/// Answers `allow` when the exception applies, else falls through to the next block.
fn block(exception: &Exception, allow: bool) -> Vec<Instruction> {
    // Every condition jumps over the rest of the block when it does not hold; offsets are set below.
    let mut code = vec![insn(JNE_K, 2, 0, 0, exception.kind as i32)];
    if exception.access != ACCESS_ALL {
        code.push(insn(MOV32_X, 1, 3, 0, 0));
        code.push(insn(AND_K, 1, 0, 0, exception.access as i32));
        // Allowed only when nothing else is asked for; denied as soon as something of it is.
        code.push(if allow { insn(JNE_X, 1, 3, 0, 0) } else { insn(JEQ_K, 1, 0, 0, 0) });
    }
    for (register, number) in [(4, exception.major), (5, exception.minor)] {
        if let Some(number) = number {
            code.push(insn(JNE_K, register, 0, 0, number as i32));
        }
    }
    code.push(insn(MOV32_K, 0, 0, 0, i32::from(allow)));
    code.push(insn(EXIT, 0, 0, 0, 0));
    let length = code.len();
    for (position, instruction) in code.iter_mut().enumerate() {
        if matches!(instruction.code, JNE_K | JNE_X | JEQ_K) {
            instruction.offset = (length - position - 1) as i16;
        }
    }
    code
}

impl Cgroup {
    /// Puts the rules in force in a cgroup that was just made.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where bpf(2) may not be used: rules that cannot be kept are never dropped.
    pub(crate) fn set_devices(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), Error> {
        let rules = DeviceRules::parse(rules)?;
        if rules.allows_everything() {
            return Ok(());
        }
        let program = load(&assemble(&rules)).map_err(|errno| self.device_error(errno))?;
        attach(self.fd(), program.as_fd(), BPF_PROG_ATTACH).map_err(|errno| self.device_error(errno))
    }

    /// Replaces the rules of a cgroup in use; at no moment are there none.
    pub(crate) fn replace_devices(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), Error> {
        let old = attached(self.fd()).map_err(|errno| self.device_error(errno))?;
        self.set_devices(rules)?;
        for program in old {
            attach(self.fd(), program.as_fd(), BPF_PROG_DETACH)
                .context(|| format!("detach the old device program of {}", self.path().display()))?;
        }
        Ok(())
    }

    fn device_error(&self, errno: Errno) -> Error {
        if matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::INVAL) {
            return Error::Unavailable {
                feature: "device access control (linux.resources.devices)".to_owned(),
                reason: format!(
                    "bpf on cgroup {}: {}; it needs CAP_BPF or CAP_SYS_ADMIN and CONFIG_CGROUP_BPF",
                    self.path().display(),
                    crate::error::errno_text(errno.raw_os_error())
                ),
            };
        }
        Error::System {
            doing: format!("attach the device program to cgroup {}", self.path().display()),
            errno: errno.raw_os_error(),
        }
    }
}

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

fn load(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttr::default()
    };
    bpf(BPF_PROG_LOAD, &attr).map(|fd| {
        // SAFETY: a successful load returns a new descriptor that nobody else owns.
        unsafe { OwnedFd::from_raw_fd(fd as i32) }
    })
}

/// The head of `union bpf_attr` for BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

fn attach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, command: usize) -> Result<(), Errno> {
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: if command == BPF_PROG_ATTACH { BPF_F_ALLOW_MULTI } else { 0 },
        replace_bpf_fd: 0,
    };
    bpf(command, &attr).map(drop)
}

/// The head of `union bpf_attr` for BPF_PROG_QUERY.
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
}

/// The device programs of this cgroup alone.
fn attached(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let attr = QueryAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MAX_PROGRAMS as u32,
        ..QueryAttr::default()
    };
    bpf(BPF_PROG_QUERY, &attr)?;
    ids.iter()
        .take_while(|&&id| id != 0)
        .map(|&id| {
            // prog_id, next_id, open_flags.
            bpf(BPF_PROG_GET_FD_BY_ID, &[id, 0, 0]).map(|fd| {
                // SAFETY: a successful lookup returns a new descriptor that nobody else owns.
                unsafe { OwnedFd::from_raw_fd(fd as i32) }
            })
        })
        .collect()
}

fn bpf<T>(command: usize, attr: &T) -> Result<usize, Errno> {
    // SAFETY: attr is a prefix of union bpf_attr of the size given; pointers in it outlive the call. The
    // kernel writes only to prog_ids and to fields of a query, which nobody reads through the reference.
    unsafe { sys::syscall3(libc::SYS_bpf, command, std::ptr::from_ref(attr) as usize, size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::super::device_rules::{ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE, TYPE_BLOCK, TYPE_CHAR};
    use super::*;
    use crate::defaults::device_rule;

    /// What the kernel would answer: an interpreter of the instructions we emit.
    fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> i32 {
        let mut registers = [0u64; 11];
        let context = [access << 16 | kind, major, minor];
        let mut pc = 0;
        loop {
            let Instruction { code, registers: names, offset, immediate } = program[pc];
            let (dst, src) = (usize::from(names & 15), usize::from(names >> 4));
            pc += 1;
            let mut jump = |holds: bool| pc += if holds { offset as usize } else { 0 };
            match code {
                LDX_W => registers[dst] = u64::from(context[offset as usize / 4]),
                MOV32_X => registers[dst] = registers[src] & 0xffff_ffff,
                MOV32_K => registers[dst] = u64::from(immediate as u32),
                AND_K => registers[dst] &= u64::from(immediate as u32),
                RSH_K => registers[dst] >>= immediate,
                JNE_K => jump(registers[dst] != immediate as i64 as u64),
                JEQ_K => jump(registers[dst] == immediate as i64 as u64),
                JNE_X => jump(registers[dst] != registers[src]),
                EXIT => return registers[0] as i32,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn programs_answer_as_the_rules_say() {
        let deny =
            [device_rule(false, "a *:* rwm"), device_rule(true, "c 1:3 rw"), device_rule(true, "b *:* m")];
        let deny = assemble(&DeviceRules::parse(&deny).expect("fine"));
        let allow = [device_rule(true, "a *:* rwm"), device_rule(false, "c 5:* w")];
        let allow = assemble(&DeviceRules::parse(&allow).expect("fine"));
        for (program, kind, access, major, minor, expected) in [
            (&deny, TYPE_CHAR, ACCESS_READ, 1, 3, 1),
            (&deny, TYPE_CHAR, ACCESS_READ | ACCESS_WRITE, 1, 3, 1),
            (&deny, TYPE_CHAR, ACCESS_MKNOD, 1, 3, 0),
            (&deny, TYPE_CHAR, ACCESS_READ, 1, 5, 0),
            (&deny, TYPE_BLOCK, ACCESS_READ, 1, 3, 0),
            (&deny, TYPE_BLOCK, ACCESS_MKNOD, 8, 0, 1),
            (&deny, TYPE_BLOCK, ACCESS_MKNOD | ACCESS_READ, 8, 0, 0),
            (&allow, TYPE_BLOCK, ACCESS_READ, 8, 0, 1),
            (&allow, TYPE_CHAR, ACCESS_WRITE, 5, 7, 0),
            (&allow, TYPE_CHAR, ACCESS_READ | ACCESS_WRITE, 5, 7, 0),
            (&allow, TYPE_CHAR, ACCESS_READ, 5, 7, 1),
        ] {
            assert_eq!(run(program, kind, access, major, minor), expected, "{kind} {access} {major}:{minor}");
        }
    }

    #[test]
    fn the_kernel_takes_and_replaces_the_default_rules() {
        let cgroup = super::super::testing::cgroup("devices");
        cgroup.set_devices(&crate::defaults::device_rules()).expect("attached");
        assert_eq!(attached(cgroup.fd()).expect("query").len(), 1);
        cgroup.replace_devices(&[device_rule(true, "c 1:3 rwm")]).expect("replaced");
        assert_eq!(attached(cgroup.fd()).expect("query").len(), 1);
        cgroup.replace_devices(&[device_rule(true, "a *:* rwm")]).expect("nothing to attach");
        assert!(attached(cgroup.fd()).expect("query").is_empty());
        cgroup.remove().expect("removed");
    }
}
