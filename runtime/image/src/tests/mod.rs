//! The store from end to end: images made here, and hostile ones.

mod image;
mod load;
