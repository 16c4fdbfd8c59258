//! Commands about one container.

pub(super) mod commit;
pub(super) mod cp;
pub(super) mod diff;
pub(super) mod export;
