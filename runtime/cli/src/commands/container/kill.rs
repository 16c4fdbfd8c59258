//! `sandbox kill`.

use super::each;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::KillFlags;

pub(in crate::commands) fn run(global: &Global, flags: &KillFlags) -> Result<u8, Failure> {
    each(global, &flags.containers, |engine, container, _| engine.kill(container, flags.signal))
}
