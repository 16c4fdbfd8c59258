//! `sandbox rename`.

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::RenameFlags;

pub(in crate::commands) fn run(global: &Global, flags: &RenameFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    let container = engine.find(&flags.container)?;
    engine.rename(&container, &flags.new_name)?;
    Ok(0)
}
