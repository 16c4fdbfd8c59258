//! The commands about everything together.

pub(super) mod boot;
pub(super) mod check;
pub(super) mod df;
pub(super) mod events;
pub(super) mod info;
pub(super) mod inspect;
pub(super) mod prune;
pub(super) mod version;
