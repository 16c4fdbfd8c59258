//! From a request and an image to the OCI runtime spec, the same for both isolations.
//!
//! The defaults are Docker's. What a flag may mean where the container will run is decided before
//! ([`crate::isolation`]); here it is only put into the spec. `process.user` and `HOME` are not here: they
//! need the image's own `/etc/passwd`, which the container core reads when the rootfs is mounted.

pub(crate) mod arguments;
mod block_io;
mod capabilities;
mod devices;
mod environment;
mod files;
mod mounts;
mod resources;
mod rlimits;
mod seccomp;

use std::path::Path;

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType as Namespace, Process, Root, Spec};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::Defaults;
use crate::isolation::Isolation;
use crate::parse::mount::Source;
use crate::parse::namespace::{Ipc, Namespaces, Pid, Scope};
use crate::request::{Network, Request};

pub(crate) use block_io::build as block_io;
pub(crate) use devices::of_host as host_devices;
pub use files::Files;
pub(crate) use resources::{build as limits, check as check_limits};

/// A mount whose source is known: volumes have their directory by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    pub mount: crate::parse::mount::Mount,
    /// Of a bind or a volume.
    pub host_path: Option<std::path::PathBuf>,
}

impl Resolved {
    /// Whether the engine keeps it.
    pub fn is_volume(&self) -> bool {
        matches!(self.mount.source, Source::Volume { .. })
    }

    /// What lists call it: a volume's name, the source of a bind; nothing for memory.
    pub fn name(&self) -> String {
        match &self.mount.source {
            Source::Bind { path, .. } => path.clone(),
            Source::Volume { name: Some(name) } => name.clone(),
            // The directory above `_data` has the name that was made up.
            Source::Volume { name: None } => {
                let dir = self.host_path.as_deref().and_then(Path::parent).and_then(Path::file_name);
                dir.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Source::Tmpfs { .. } => String::new(),
        }
    }
}

/// Everything a spec is made from.
#[derive(Debug)]
pub struct Input<'a> {
    pub id: &'a str,
    pub request: &'a Request,
    pub image: &'a Defaults,
    pub mounts: &'a [Resolved],
    pub files: &'a Files,
    /// Where the supervisor puts the shared memory of a container that this one joins.
    pub shared_memory: &'a Path,
}

/// The host's name of the container: `--hostname`, the host's own with `--network host` and `--uts host`, else the short id.
pub fn hostname(id: &str, request: &Request) -> String {
    if let Some(name) = &request.hostname {
        return name.clone();
    }
    if request.network == Network::Host || request.namespaces.uts == Scope::Host {
        return rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    crate::id::short(id).to_owned()
}

/// Builds the spec.
pub fn build(input: &Input<'_>) -> Result<Spec> {
    let request = input.request;
    let hostname = hostname(input.id, request);
    let caps = capabilities::build(&request.privileges)?;

    let mut process = Process::default();
    process.set_terminal(Some(request.process.tty));
    process.set_args(Some(arguments::arguments(&request.process, input.image)?));
    process.set_env(Some(environment::environment(&request.process, input.image, &hostname)));
    process.set_cwd(arguments::working_dir(&request.process, input.image)?.into());
    process.set_no_new_privileges(Some(request.privileges.security.no_new_privileges));
    process.set_rlimits(Some(rlimits::build(&request.process.ulimits, request.isolation)?));
    process.set_oom_score_adj(request.process.oom_score_adj);
    process.set_capabilities(Some(capabilities::sets(&caps)));
    process.set_apparmor_profile(apparmor(request)?);

    let mut root = Root::default();
    root.set_path("rootfs".into());
    root.set_readonly(Some(request.read_only));

    let mut spec = Spec::default();
    spec.set_root(Some(root));
    spec.set_process(Some(process));
    // The host keeps its own.
    spec.set_hostname(Some(hostname).filter(|_| request.namespaces.uts == Scope::Private));
    spec.set_domainname(request.domainname.clone());
    spec.set_mounts(Some(mounts::build(input)?));
    spec.set_linux(Some(linux(request, &caps)?));
    Ok(spec)
}

/// Gives a process what `--privileged` gives a container's.
pub(crate) fn privileged_process(
    process: &mut Process,
    privileges: &crate::request::Privileges,
) -> Result<()> {
    process.set_capabilities(Some(capabilities::sets(&capabilities::build(privileges)?)));
    process.set_no_new_privileges(Some(false));
    process.set_apparmor_profile(None);
    Ok(())
}

fn linux(request: &Request, caps: &[oci_spec::runtime::Capability]) -> Result<Linux> {
    let mut linux = Linux::default();
    linux.set_namespaces(Some(namespaces(request.network, &request.namespaces)));
    linux.set_sysctl(
        Some(request.sysctls.clone().into_iter().collect()).filter(|_| !request.sysctls.is_empty()),
    );
    linux.set_seccomp(seccomp::build(&request.privileges, caps)?);
    let open_paths = request.privileges.privileged || request.privileges.security.unconfined_paths;
    let guarded = |paths: fn() -> Vec<String>| if open_paths { vec![] } else { paths() };
    linux.set_masked_paths(Some(guarded(sandbox_container::defaults::masked_paths)));
    linux.set_readonly_paths(Some(guarded(sandbox_container::defaults::readonly_paths)));
    let (nodes, rules) = devices::build(request)?;
    linux.set_devices(Some(nodes));
    let limits = crate::isolation::container_limits(request.isolation, &request.limits);
    let mut resources = resources::build(&limits);
    resources.set_block_io(block_io(&limits.block_io)?);
    resources.set_devices(Some(rules));
    linux.set_resources(Some(resources));
    Ok(linux)
}

/// Those that are the container's own. What it joins the supervisor adds, which looks it up at each start.
fn namespaces(network: Network, wanted: &Namespaces) -> Vec<LinuxNamespace> {
    let own_ipc = matches!(wanted.ipc, Ipc::Private | Ipc::Shareable | Ipc::None);
    let own = [
        (Namespace::Mount, true),
        (Namespace::Uts, wanted.uts == Scope::Private),
        (Namespace::Pid, wanted.pid == Pid::Private),
        (Namespace::Ipc, own_ipc),
        (Namespace::Cgroup, wanted.cgroup == Scope::Private),
        (Namespace::Network, network != Network::Host),
    ];
    own.into_iter()
        .filter(|(_, own)| *own)
        .map(|(kind, _)| {
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(kind);
            namespace
        })
        .collect()
}

/// AppArmor is the host kernel's; it is not in the guest. No profile is applied by default.
fn apparmor(request: &Request) -> Result<Option<String>> {
    match request.privileges.security.apparmor.as_deref() {
        None | Some("unconfined") => Ok(None),
        Some(name) if request.isolation == Isolation::Vm => Err(Error::invalid(format!(
            "apparmor={name}: the guest kernel of --isolation=vm has no AppArmor; leave the option out"
        ))),
        Some(name) if apparmor_enabled() => Ok(Some(name.to_owned())),
        Some(name) => Err(Error::invalid(format!(
            "apparmor={name}: AppArmor is not enabled on this host; use apparmor=unconfined or leave the option out"
        ))),
    }
}

fn apparmor_enabled() -> bool {
    let path = Path::new("/sys/module/apparmor/parameters/enabled");
    std::fs::read(path).is_ok_and(|content| content.first() == Some(&b'Y'))
}

#[cfg(test)]
mod tests;
