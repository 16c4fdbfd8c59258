//! The commands about containers.

pub(super) mod logs;
