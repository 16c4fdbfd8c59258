//! `inspect` of a container: everything about it in the members of Docker's API, in Docker's order.
//!
//! It is put together from the row, the supervisor's status and what the container was made from. An image that was
//! removed by force, or a recipe that was lost, leaves their members empty: what can be told is told.

mod config;
mod host;
mod mounts;
mod network;

use std::path::Path;

use sandbox_shim::status;
use serde::Serialize;

use crate::clock::rfc3339_nano;
use crate::engine::Engine;
use crate::error::Result;
use crate::image::Defaults;
use crate::live::View;
use crate::recipe::Recipe;
use crate::spec::Files;
use crate::state::containers::Container;
use crate::usage;

pub use config::Config;
pub use host::HostConfig;
pub use mounts::MountPoint;
pub use network::NetworkSettings;

/// The driver of images and of containers' files.
pub(crate) const STORAGE_DRIVER: &str = "overlay2";

/// See the module.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerInspection {
    pub id: String,
    pub created: String,
    pub path: String,
    pub args: Vec<String>,
    pub state: State,
    pub image: String,
    pub resolv_conf_path: String,
    pub hostname_path: String,
    pub hosts_path: String,
    pub log_path: String,
    pub name: String,
    pub restart_count: u32,
    pub driver: &'static str,
    pub platform: &'static str,
    pub mount_label: &'static str,
    pub process_label: &'static str,
    pub app_armor_profile: String,
    #[serde(rename = "ExecIDs")]
    pub exec_ids: Option<Vec<String>>,
    pub host_config: HostConfig,
    pub graph_driver: GraphDriver,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<u64>,
    pub mounts: Vec<MountPoint>,
    pub config: Config,
    pub network_settings: NetworkSettings,
}

/// What it does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "members of Docker's API")]
pub struct State {
    pub status: &'static str,
    pub running: bool,
    pub paused: bool,
    pub restarting: bool,
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    pub dead: bool,
    pub pid: i32,
    pub exit_code: u8,
    pub error: String,
    pub started_at: String,
    pub finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// What its health checks found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    pub status: &'static str,
    pub failing_streak: u32,
    pub log: Vec<Probe>,
}

/// One health check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    pub start: String,
    pub end: String,
    pub exit_code: i32,
    pub output: String,
}

impl From<&status::Health> for Health {
    fn from(health: &status::Health) -> Health {
        let probe = |probe: &status::Probe| Probe {
            start: rfc3339_nano(Some(probe.start_ns)),
            end: rfc3339_nano(Some(probe.end_ns)),
            exit_code: probe.exit_code,
            output: probe.output.clone(),
        };
        Health {
            status: health.verdict.as_str(),
            failing_streak: health.failing_streak,
            log: health.log.iter().map(probe).collect(),
        }
    }
}

/// Where its files are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriver {
    pub data: GraphDriverData,
    pub name: &'static str,
}

/// overlayfs' directories.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriverData {
    #[serde(rename = "ID")]
    pub id: String,
    /// The image's layers, separated by colons, top-most first.
    pub lower_dir: String,
    pub upper_dir: String,
    pub work_dir: String,
}

impl Engine {
    /// Everything about a container; with `size` also how large its files are.
    pub fn inspect_container(&self, container: Container, size: bool) -> Result<ContainerInspection> {
        let mut view = self.view(container)?;
        let dir = self.paths.container(&view.container.id);
        if view.status.is_none() {
            // Of one that has ended the last word still knows how often it was started again.
            view.status = status::read(&dir).ok().flatten();
        }
        let recipe = Recipe::read(&dir)?.unwrap_or_default();
        let image = self.image(&view.container.image_id).ok();
        let defaults = image.as_ref().map(Defaults::from).unwrap_or_default();
        let mut inspection = build(&view, &recipe, &defaults, &dir);
        let log = sandbox_shim::log::json_file(&dir, &inspection.id);
        if log.exists() {
            inspection.log_path = log.display().to_string();
        }
        if size {
            let written = usage::tree_size(&dir.join("upper"))?;
            inspection.size_rw = Some(written);
            inspection.size_root_fs = Some(written.saturating_add(image.map_or(0, |image| image.size)));
        }
        Ok(inspection)
    }
}

fn build(view: &View, recipe: &Recipe, image: &Defaults, dir: &Path) -> ContainerInspection {
    let container = &view.container;
    let text = |path: &Path| path.display().to_string();
    let files = Files::of(dir);
    let (path, args) = recipe
        .arguments
        .split_first()
        .map_or_else(Default::default, |(path, args)| (path.clone(), args.to_vec()));
    let security = &recipe.request.privileges.security;
    let layers: Vec<String> = image.layers.iter().map(|layer| text(layer)).collect();
    ContainerInspection {
        id: container.id.clone(),
        created: rfc3339_nano(Some(container.created_ns)),
        path,
        args,
        state: state(view),
        image: container.image_id.clone(),
        resolv_conf_path: text(&files.resolv_conf),
        hostname_path: text(&files.hostname),
        hosts_path: text(&files.hosts),
        log_path: String::new(),
        name: format!("/{}", container.name),
        restart_count: view.status.as_ref().map_or(0, |status| status.restarts),
        driver: STORAGE_DRIVER,
        platform: "linux",
        mount_label: "",
        process_label: "",
        app_armor_profile: security.apparmor.clone().unwrap_or_default(),
        exec_ids: None,
        host_config: HostConfig::of(container, recipe),
        graph_driver: GraphDriver {
            data: GraphDriverData {
                id: container.id.clone(),
                lower_dir: layers.join(":"),
                upper_dir: text(&dir.join("upper")),
                work_dir: text(&dir.join("work")),
            },
            name: STORAGE_DRIVER,
        },
        size_rw: None,
        size_root_fs: None,
        mounts: mounts::of(recipe),
        config: Config::of(container, recipe, image),
        network_settings: NetworkSettings::of(recipe),
    }
}

fn state(view: &View) -> State {
    let status = view.state();
    let running = view.is_running();
    let exit = view.last_exit();
    let row = &view.container;
    State {
        status,
        running,
        paused: status == "paused",
        restarting: status == "restarting",
        oom_killed: exit.map_or(row.oom_killed, |exit| exit.oom_killed),
        dead: false,
        pid: if running { view.status.as_ref().map_or(0, |status| status.pid) } else { 0 },
        exit_code: view.exit_code(),
        error: exit.map_or_else(|| row.error.clone(), |exit| exit.error.clone()).unwrap_or_default(),
        started_at: rfc3339_nano(view.started_ns().filter(|_| status != "created")),
        finished_at: rfc3339_nano(view.finished_ns()),
        health: view.status.as_ref().and_then(|status| status.health.as_ref()).map(Health::from),
    }
}

#[cfg(test)]
mod tests;
