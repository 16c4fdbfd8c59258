//! The container's OCI spec as the agent is to run it: the same, but with the guest's paths.
//!
//! Refuses what names a thing of the host that a guest cannot have: namespaces to join.

use std::path::{Path, PathBuf};

use oci_spec::runtime as oci;

use super::share::{Entry, GUEST, ROOTFS, Share};
use crate::isolation::Failure;

/// Rewrites `spec`; what its bind mounts need is the second part. Sources below `container_dir` are files that
/// were generated for this container.
///
/// # Errors
/// A text for the user.
pub(crate) fn rewrite(spec: &oci::Spec, container_dir: &Path) -> Result<(oci::Spec, Vec<Entry>), Failure> {
    let mut spec = spec.clone();
    let mut root = spec.root().clone().unwrap_or_default();
    root.set_path(Path::new(GUEST).join(Share::Private.tag()).join(ROOTFS));
    spec.set_root(Some(root));
    let mut entries = Vec::new();
    for mount in spec.mounts_mut().iter_mut().flatten() {
        if let Some(entry) = entry(mount, container_dir, &entries)? {
            mount.set_source(Some(entry.guest_path()));
            entries.push(entry);
        }
    }
    if let Some(linux) = spec.linux_mut() {
        if let Some(namespaces) = linux.namespaces_mut() {
            // The guest's own network is the container's.
            namespaces.retain(|namespace| namespace.typ() != oci::LinuxNamespaceType::Network);
            if let Some(joined) = namespaces.iter().find(|namespace| namespace.path().is_some()) {
                return Err(Failure::engine(format!(
                    "a container in a microVM cannot join the {:?} namespace of another: \
                     use --isolation=process for this container",
                    joined.typ()
                )));
            }
        }
        linux.set_cgroups_path(None).set_mount_label(None);
    }
    if let Some(process) = spec.process_mut() {
        // Security modules of the host; the guest has none.
        process.set_apparmor_profile(None).set_selinux_label(None);
    }
    spec.set_hooks(None);
    Ok((spec, entries))
}

fn entry(mount: &oci::Mount, container_dir: &Path, before: &[Entry]) -> Result<Option<Entry>, Failure> {
    let options = mount.options().as_deref().unwrap_or_default();
    let has = |wanted: &[&str]| options.iter().any(|option| wanted.contains(&option.as_str()));
    if mount.typ().as_deref() != Some("bind") && !has(&["bind", "rbind"]) {
        return Ok(None);
    }
    let source = mount.source().clone().unwrap_or_default();
    if !source.is_absolute() {
        let text = format!("the mount on {} has no absolute source", mount.destination().display());
        return Err(Failure::engine(text));
    }
    let share = match (source.starts_with(container_dir), has(&["ro", "rro"])) {
        (true, _) => Share::Private,
        (false, true) => Share::ReadOnly,
        (false, false) => Share::Shared,
    };
    let number = before.iter().filter(|entry| entry.share == share).count();
    let name = match share {
        Share::Private => {
            let name = source.file_name().map_or_else(PathBuf::new, PathBuf::from);
            let taken = before.iter().any(|entry| entry.source.file_name() == Some(name.as_os_str()));
            if taken { format!("files/{number}") } else { format!("files/{}", name.display()) }
        }
        Share::Shared | Share::ReadOnly => number.to_string(),
    };
    let follow = has(&["slave", "rslave", "shared", "rshared"]);
    Ok(Some(Entry { share, name, source, recursive: !has(&["bind"]) || has(&["rbind"]), follow }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(destination: &str, source: &str, options: &[&str]) -> oci::Mount {
        oci::MountBuilder::default()
            .destination(destination)
            .typ("bind")
            .source(source)
            .options(options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
            .build()
            .unwrap()
    }

    fn spec(mounts: Vec<oci::Mount>) -> oci::Spec {
        let mut spec = oci::Spec::default();
        spec.set_mounts(Some(mounts));
        spec
    }

    #[test]
    fn bind_mounts_go_to_the_share_that_fits() {
        let dir = Path::new("/var/lib/sandbox/containers/abc");
        let tmpfs =
            oci::MountBuilder::default().destination("/tmp").typ("tmpfs").source("tmpfs").build().unwrap();
        let (spec, entries) = rewrite(
            &spec(vec![
                tmpfs.clone(),
                mount("/etc/hosts", "/var/lib/sandbox/containers/abc/hosts", &["rbind", "rprivate"]),
                mount("/a", "/srv/a", &["rbind"]),
                mount("/b", "/srv/b", &["rbind", "ro"]),
                mount("/c", "/srv/c", &["bind", "rslave"]),
                mount("/x", "/var/lib/sandbox/containers/abcd", &["rbind"]),
            ]),
            dir,
        )
        .unwrap();
        let mounts = spec.mounts().clone().unwrap();
        assert_eq!(mounts[0], tmpfs);
        let sources: Vec<_> = mounts[1..].iter().map(|mount| mount.source().clone().unwrap()).collect();
        let expected = ["private/files/hosts", "shared/0", "readonly/0", "shared/1", "shared/2"]
            .map(|p| Path::new(GUEST).join(p));
        assert_eq!(sources, expected);
        assert!(mounts[3].options().as_ref().unwrap().contains(&"ro".to_owned()));
        let flags: Vec<_> = entries.iter().map(|entry| (entry.recursive, entry.follow)).collect();
        assert_eq!(flags, [(true, false), (true, false), (true, false), (false, true), (true, false)]);
    }

    #[test]
    fn the_root_and_the_namespaces_become_the_guests() {
        let (spec, _) = rewrite(&spec(Vec::new()), Path::new("/c")).unwrap();
        assert_eq!(spec.root().as_ref().unwrap().path(), Path::new("/run/share/private/rootfs"));
        let kinds: Vec<_> = spec
            .linux()
            .as_ref()
            .unwrap()
            .namespaces()
            .iter()
            .flatten()
            .map(oci::LinuxNamespace::typ)
            .collect();
        assert!(
            kinds.contains(&oci::LinuxNamespaceType::Pid)
                && !kinds.contains(&oci::LinuxNamespaceType::Network)
        );
    }

    #[test]
    fn what_only_the_host_has_is_refused() {
        let error = rewrite(&spec(vec![mount("/a", "relative", &["rbind"])]), Path::new("/c")).unwrap_err();
        assert_eq!(error.message, "the mount on /a has no absolute source");
        let mut joins = spec(Vec::new());
        let namespace = oci::LinuxNamespaceBuilder::default()
            .typ(oci::LinuxNamespaceType::Pid)
            .path("/proc/1/ns/pid")
            .build()
            .unwrap();
        joins.linux_mut().as_mut().unwrap().set_namespaces(Some(vec![namespace]));
        assert!(rewrite(&joins, Path::new("/c")).unwrap_err().message.contains("cannot join"));
    }
}
