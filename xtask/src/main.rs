//! The project's tasks behind `make`: everything a fresh Debian 12 machine with Rust needs, in order, said as it goes.
//!
//! ```text
//! cargo xtask dist            build dist/: the command, its helpers, the guest kernel and initramfs
//! cargo xtask demo            one container of each isolation, side by side
//! cargo xtask test            formatting, lints, unit tests, whole-program tests
//! cargo xtask e2e [FILTER..]  only the whole-program tests
//! cargo xtask registry [FILTER..]  only the tests against a real registry
//! cargo xtask lab [LAB OPTIONS] -- COMMAND   a command on the emulated machine
//! ```

mod apt;
mod demo;
mod dist;
mod e2e;
mod guest;
mod paths;
mod registry;
mod suite;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match task.as_str() {
        "dist" => dist::build().map(drop),
        "demo" => demo::run(),
        "test" => suite::run(),
        "e2e" => e2e::run(&rest).map(drop),
        "registry" => registry::run(&rest).map(drop),
        "lab" => guest::lab(&rest),
        _ => bail!("usage: cargo xtask dist|demo|test|e2e|registry|lab (see the head of xtask/src/main.rs)"),
    }
}

/// A line of progress on stderr.
pub(crate) fn say(text: &str) {
    eprintln!("\x1b[1m==> {text}\x1b[0m");
}
