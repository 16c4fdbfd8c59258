//! Classic BPF as seccomp knows it: instructions, and a decision tree over numbers.
//!
//! Source: the kernel's `Documentation/userspace-api/seccomp_filter.rst` and `include/uapi/linux/filter.h`.

/// `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

/// A = 32 bits of `seccomp_data` at an absolute offset.
pub(super) const LD_W_ABS: u16 = 0x20;
/// A &= k.
pub(super) const ALU_AND_K: u16 = 0x54;
/// Jump forward by k.
pub(super) const JA: u16 = 0x05;
/// A == k ?
pub(super) const JEQ_K: u16 = 0x15;
/// A > k ?
pub(super) const JGT_K: u16 = 0x25;
/// A >= k ?
pub(super) const JGE_K: u16 = 0x35;
/// Return k.
pub(super) const RET_K: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
pub(super) const OFFSET_NR: u32 = 0;
pub(super) const OFFSET_ARCH: u32 = 4;
/// The low half of argument `index`; the high half follows 4 bytes on (little endian).
pub(super) fn offset_arg(index: u32) -> u32 {
    16 + 8 * index
}

/// BPF_MAXINSNS.
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

pub(super) fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

pub(super) fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// A run of numbers that starts at `start` and ends before the next one's start, with the
/// self-contained code (it always returns) for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u32,
    pub(super) code: Vec<Instruction>,
}

/// Code that finds the segment of A by binary search. `segments` is sorted and not empty; the first one
/// also gets what is below its start.
pub(super) fn search(segments: &[Segment]) -> Vec<Instruction> {
    let (left, right) = segments.split_at(segments.len() / 2);
    let Some(boundary) = right.first() else { return Vec::new() };
    if left.is_empty() {
        return boundary.code.clone();
    }
    let (left, right) = (search(left), search(right));
    let mut code = Vec::with_capacity(left.len() + right.len() + 2);
    // Conditional jumps reach 255 instructions; further ones take a detour over JA.
    if let Ok(distance) = u8::try_from(left.len()) {
        code.push(jump(JGE_K, boundary.start, distance, 0));
    } else {
        code.push(jump(JGE_K, boundary.start, 0, 1));
        code.push(statement(JA, left.len() as u32));
    }
    code.extend(left);
    code.extend(right);
    code
}
