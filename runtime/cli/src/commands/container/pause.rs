//! `sandbox pause` and `sandbox unpause`.

use super::each;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::NamesFlags;

pub(in crate::commands) fn pause(global: &Global, flags: &NamesFlags) -> Result<u8, Failure> {
    each(global, &flags.containers, |engine, container, _| engine.pause(container))
}

pub(in crate::commands) fn unpause(global: &Global, flags: &NamesFlags) -> Result<u8, Failure> {
    each(global, &flags.containers, |engine, container, _| engine.unpause(container))
}
