//! `sandbox update`.

use super::each;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::update::UpdateFlags;

pub(in crate::commands) fn run(global: &Global, flags: &UpdateFlags) -> Result<u8, Failure> {
    let limits = flags.limits()?;
    each(global, &flags.containers, |engine, container, _| engine.update(container, &limits, flags.restart))
}
