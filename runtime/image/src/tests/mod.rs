//! The store from end to end: images made here, and hostile ones.

mod check;
mod commit;
mod concurrent;
mod facts;
mod full;
mod hostile;
mod image;
mod killed;
mod layers;
mod load;
mod origin;
mod pull;
mod push;
mod registry;
mod removal;
mod rootfs;
mod save;
