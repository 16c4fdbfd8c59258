//! The commands about registries.

pub(super) mod login;
pub(super) mod logout;
pub(super) mod search;
