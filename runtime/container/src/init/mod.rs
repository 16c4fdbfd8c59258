//! The child between clone and exec.
//!
//! It runs in a copy of its parent's memory, alone, and ends in exec or `_exit`: nothing returns from here into
//! code that the parent also runs. What fails is sent to the parent as it is.

pub(crate) mod capabilities;
pub(crate) mod command;
mod copy_up;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod labels;
pub(crate) mod masks;
pub(crate) mod mounts;
pub(crate) mod prepare;
pub(crate) mod process;
pub(crate) mod reaper;
pub(crate) mod rootfs;
pub(crate) mod scheduling;
pub(crate) mod stdio;
pub(crate) mod terminal;
pub(crate) mod uts;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;
use crate::sync::{Channel, Message};

/// Runs `body` as everything that this process still does. An error or panic goes to the parent.
pub(crate) fn run(channel: &Channel, body: impl FnOnce() -> Result<Infallible, Error>) -> ! {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Err(error)) => error,
        Ok(Ok(never)) => match never {},
        Err(_) => Error::InitDied("it panicked".to_owned()),
    };
    let _ = channel.send(&Message::Error(error), None);
    // SAFETY: ends the process at once; destructors belong to the parent's copy.
    unsafe { libc::_exit(1) }
}
