//! Who a process runs as: names of the image's own files, and the home directory that goes with them.

use std::os::fd::BorrowedFd;

use oci_spec::runtime::Process;
use sandbox_container::{Error, resolve_user};

/// Resolves `user` against `rootfs` into `process`, and sets `HOME` unless it is set.
///
/// # Errors
/// Of [`resolve_user`].
pub(crate) fn apply(
    process: &mut Process,
    rootfs: BorrowedFd<'_>,
    user: &str,
    groups: &[String],
) -> Result<(), Error> {
    let found = resolve_user(rootfs, user, groups)?;
    let target = process.user_mut();
    target.set_uid(found.uid).set_gid(found.gid).set_additional_gids(Some(found.additional_gids));
    let env = process.env_mut().get_or_insert_default();
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        env.push(format!("HOME={}", found.home));
    }
    Ok(())
}
