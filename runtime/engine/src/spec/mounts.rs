//! The mounts of a container: the standard ones of Docker, the generated files, then the user's.

use oci_spec::runtime::Mount;

use super::{Input, Resolved};
use crate::error::{Error, Result};
use crate::parse::mount::{Recursion, Source};
use crate::parse::namespace::Ipc;
use crate::parse::tmpfs::merged;
use crate::request::Request;

/// Bytes of /dev/shm, as in Docker.
const SHM_SIZE: u64 = 64 << 20;

const SHM: &str = "/dev/shm";

/// What `--read-only` leaves writable of the standard mounts.
const STAY_WRITABLE: [&str; 5] = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/// All mounts in the order in which they are to be made.
pub(super) fn build(input: &Input<'_>) -> Result<Vec<Mount>> {
    let request = input.request;
    let taken = |destination: &str| {
        input.mounts.iter().any(|user| {
            let target = user.mount.target.as_str();
            target == destination || (target == "/dev" && destination.starts_with("/dev/"))
        })
    };
    let mut mounts = standard(request);
    share_memory(&mut mounts, input);
    mounts.extend([
        file("/etc/resolv.conf", &input.files.resolv_conf),
        file("/etc/hostname", &input.files.hostname),
        file("/etc/hosts", &input.files.hosts),
    ]);
    mounts.retain(|mount| !taken(&mount.destination().to_string_lossy()));
    if request.read_only {
        for mount in &mut mounts {
            make_read_only(mount);
        }
    }
    let mut user: Vec<&Resolved> = input.mounts.iter().collect();
    // A mount inside another comes after it.
    user.sort_by_key(|resolved| resolved.mount.target.matches('/').count());
    for resolved in user {
        mounts.push(user_mount(resolved)?);
    }
    Ok(mounts)
}

/// Privileged containers may write below /sys, and those that ask for it their cgroups.
fn standard(request: &Request) -> Vec<Mount> {
    let privileges = &request.privileges;
    let size = request.shm_size.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0).unwrap_or(SHM_SIZE);
    let mut mounts = sandbox_container::defaults::mounts(size);
    for mount in &mut mounts {
        let writable = match mount.typ().as_deref() {
            Some("sysfs") => privileges.privileged,
            Some("cgroup" | "cgroup2") => privileges.privileged || privileges.security.writable_cgroups,
            _ => false,
        };
        if writable {
            let mut options = mount.options().clone().unwrap_or_default();
            options.retain(|o| o != "ro");
            options.push("rw".to_owned());
            mount.set_options(Some(options));
        }
    }
    mounts
}

/// /dev/shm goes with the IPC namespace: the host's, another container's, or none.
fn share_memory(mounts: &mut Vec<Mount>, input: &Input<'_>) {
    let source = match &input.request.namespaces.ipc {
        Ipc::Private | Ipc::Shareable => return,
        Ipc::None => return mounts.retain(|mount| mount.destination() != std::path::Path::new(SHM)),
        Ipc::Host => std::path::Path::new(SHM),
        Ipc::Container(_) => input.shared_memory,
    };
    for mount in mounts.iter_mut().filter(|mount| mount.destination() == std::path::Path::new(SHM)) {
        *mount = file(SHM, source);
    }
}

fn file(destination: &str, source: &std::path::Path) -> Mount {
    mount(destination, "bind", &source.to_string_lossy(), &["rbind", "rprivate"])
}

fn user_mount(resolved: &Resolved) -> Result<Mount> {
    let wanted = &resolved.mount;
    let target = wanted.target.as_str();
    if let Source::Tmpfs { options } = &wanted.source {
        let mut options = merged(options);
        if wanted.read_only {
            options.push("ro".to_owned());
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        return Ok(mount(target, "tmpfs", "tmpfs", &options));
    }
    let source =
        resolved.host_path.as_deref().and_then(std::path::Path::to_str).ok_or_else(|| {
            Error::invalid(format!("the source of the mount at {target} has no path in UTF-8"))
        })?;
    let (recursion, propagation) = match &wanted.source {
        Source::Bind { recursion, propagation, .. } => (*recursion, propagation.as_deref()),
        _ => (Recursion::Enabled, None),
    };
    let mut options = vec![if recursion == Recursion::Disabled { "bind" } else { "rbind" }];
    options.push(propagation.unwrap_or("rprivate"));
    if wanted.read_only {
        options.push("ro");
        if matches!(recursion, Recursion::Enabled | Recursion::Readonly) {
            options.push("rro");
        }
    }
    Ok(mount(target, "bind", source, &options))
}

fn make_read_only(mount: &mut Mount) {
    if STAY_WRITABLE.iter().any(|path| mount.destination() == std::path::Path::new(path)) {
        return;
    }
    let mut options = mount.options().clone().unwrap_or_default();
    options.retain(|o| o != "rw");
    if !options.iter().any(|o| o == "ro") {
        options.push("ro".to_owned());
    }
    mount.set_options(Some(options));
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(destination.into());
    mount.set_typ(Some(kind.to_owned()));
    mount.set_source(Some(source.into()));
    mount.set_options(Some(options.iter().map(|o| (*o).to_owned()).collect()));
    mount
}
