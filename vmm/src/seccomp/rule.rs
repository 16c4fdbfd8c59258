//! A line of a table.

use libc::c_long;
/// One allowed system call, perhaps only with a certain argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    call: c_long,
    argument: Option<Argument>,
}

/// 32-bit comparison: the arguments we look at are ints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) index: u8,
    pub(super) mask: u32,
    pub(super) value: u32,
}

/// Allows a call with any arguments.
pub(super) const fn allow(call: c_long) -> Rule {
    Rule { call, argument: None }
}

/// Allows a call if argument `index` is `value`.
pub(super) const fn allow_if(call: c_long, index: u8, value: u32) -> Rule {
    Rule { call, argument: Some(Argument { index, mask: u32::MAX, value }) }
}

/// Allows a call if argument `index` has none of the bits `forbidden`.
pub(super) const fn allow_without(call: c_long, index: u8, forbidden: u32) -> Rule {
    Rule { call, argument: Some(Argument { index, mask: forbidden, value: 0 }) }
}

impl Rule {
    pub(super) fn call(self) -> c_long {
        self.call
    }

    /// The condition, if there is one.
    pub(super) fn argument(self) -> Option<Argument> {
        self.argument
    }
}
