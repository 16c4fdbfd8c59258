//! PID 1 of the guest: makes the guest a home for containers and runs them for the host.
//!
//! It connects to the host before anything else, so that the host knows as early as possible that the guest
//! is up and its first requests travel while the mounts are made. Then it serves requests
//! ([`server`]) through the same container core that the host uses for plain containers.
//!
//! One thread, because the core clones. Whatever goes wrong beyond repair is told on the kernel's console and
//! ends the guest: a guest without its agent is of no use to anybody.

mod containers;
mod exits;
mod fatal;
mod figures;
mod mounts;
mod netlink;
mod server;
mod setup;
mod stdio;
mod user;
mod vsock;

use std::convert::Infallible;

use sandbox_protocol::CONTROL_PORT;

fn main() -> ! {
    fatal::install();
    let Err(error) = run();
    fatal::end(&error)
}

fn run() -> Result<Infallible, String> {
    let control = vsock::connect(CONTROL_PORT).map_err(|error| format!("connect to the host: {error}"))?;
    mounts::make()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("start the event loop: {error}"))?;
    tokio::task::LocalSet::new().block_on(&runtime, server::run(control))
}
