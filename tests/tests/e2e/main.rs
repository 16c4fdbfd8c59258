//! Whole-program tests, one table for both isolations. Run with `cargo xtask e2e`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod basics;
mod crash;
mod failures;
mod files;
mod flags;
mod images;
mod lifecycle;
mod limits;
mod logs;
mod parity;
mod pull;
mod state;
mod streams;
mod terminal;
mod timings;
mod volumes;
