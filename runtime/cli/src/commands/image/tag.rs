//! `sandbox tag`.

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::TagFlags;

pub(in crate::commands) fn run(global: &Global, flags: &TagFlags) -> Result<u8, Failure> {
    crate::commands::engine(global)?.tag(&flags.source, &flags.target)?;
    Ok(0)
}
