//! The mounts of a container, besides the standard ones and memory, which `HostConfig` has.

use serde::Serialize;

use crate::parse::mount::Source;
use crate::recipe::Recipe;

/// Docker's `MountPoint`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MountPoint {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub source: String,
    pub destination: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub driver: &'static str,
    pub mode: &'static str,
    #[serde(rename = "RW")]
    pub rw: bool,
    pub propagation: String,
}

pub(super) fn of(recipe: &Recipe) -> Vec<MountPoint> {
    let mut points = Vec::new();
    for mount in &recipe.mounts {
        let source = mount.host_path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let read_only = mount.mount.read_only;
        let point = MountPoint {
            kind: "bind",
            name: String::new(),
            source,
            destination: mount.mount.target.clone(),
            driver: "",
            mode: if read_only { "ro" } else { "" },
            rw: !read_only,
            propagation: String::new(),
        };
        points.push(match &mount.mount.source {
            Source::Tmpfs { .. } => continue,
            Source::Bind { propagation, .. } => {
                let propagation = propagation.clone().unwrap_or_else(|| "rprivate".to_owned());
                MountPoint { propagation, ..point }
            }
            Source::Volume { .. } => MountPoint {
                kind: "volume",
                name: mount.name(),
                driver: "local",
                mode: if read_only { "ro" } else { "z" },
                ..point
            },
        });
    }
    points
}

/// What `-v` would say, of those that have a name or a path of the host.
pub(super) fn binds(recipe: &Recipe) -> Vec<String> {
    let named = |source: &Source| !matches!(source, Source::Tmpfs { .. } | Source::Volume { name: None });
    let mounts = recipe.mounts.iter().filter(|mount| named(&mount.mount.source));
    let text = |mount: &crate::spec::Resolved| {
        let mode = if mount.mount.read_only { ":ro" } else { "" };
        format!("{}:{}{mode}", mount.name(), mount.mount.target)
    };
    mounts.map(text).collect()
}
