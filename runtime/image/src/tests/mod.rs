//! The store from end to end: images made here, and hostile ones.

mod concurrent;
mod hostile;
mod image;
mod layers;
mod load;
mod pull;
mod registry;
