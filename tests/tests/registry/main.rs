//! The image commands against Debian's `docker-registry` on loopback, with `skopeo` and `umoci` on the other side. No
//! virtual machine takes part, so these run on this machine; `e2e` has the runs. Run with `cargo xtask registry`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod broken;
mod resume;
mod transfer;
