//! What a container is made from, without what it depends on of the host.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::health::Wish;
use crate::image::Defaults;
use crate::parse::signal;
use crate::recipe::Recipe;
use crate::state::containers::Container;

/// Docker's `Config`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "members of Docker's API")]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub env: Vec<String>,
    pub cmd: Option<Vec<String>>,
    pub image: String,
    /// As Docker has them: a set.
    pub volumes: Option<BTreeMap<String, Map<String, Value>>>,
    pub working_dir: String,
    pub entrypoint: Option<Vec<String>>,
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Wish>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i32>,
}

impl Config {
    pub(super) fn of(container: &Container, recipe: &Recipe, image: &Defaults) -> Config {
        let process = &recipe.request.process;
        let attached = process.stdin_once;
        let some = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
        let entrypoint = match &process.entrypoint {
            None => some(&image.entrypoint),
            Some(own) if own.is_empty() => None,
            Some(own) => Some(vec![own.clone()]),
        };
        // Another entry point takes the image's command away.
        let cmd = match some(&process.command) {
            None if process.entrypoint.is_none() => some(&image.command),
            own => own,
        };
        let volumes: BTreeMap<String, Map<String, Value>> =
            image.volumes.iter().map(|volume| (volume.clone(), Map::new())).collect();
        Config {
            hostname: recipe.hostname.clone(),
            domainname: recipe.request.domainname.clone().unwrap_or_default(),
            user: recipe.user.clone(),
            attach_stdin: attached && process.open_stdin,
            attach_stdout: attached,
            attach_stderr: attached,
            tty: process.tty,
            open_stdin: process.open_stdin,
            stdin_once: process.stdin_once,
            env: environment(recipe, image),
            cmd,
            image: container.image_name.clone(),
            volumes: Some(volumes).filter(|volumes| !volumes.is_empty()),
            working_dir: recipe.working_dir.clone(),
            entrypoint,
            labels: recipe.labels.clone(),
            healthcheck: match (recipe.request.health.clone(), &image.health) {
                (Some(own), image) => Some(own.over(image.as_ref())),
                (None, image) => image.clone(),
            },
            stop_signal: (process.stop_signal.is_some() || image.stop_signal.is_some())
                .then(|| signal::name(recipe.stop_signal)),
            stop_timeout: process.stop_timeout,
        }
    }
}

/// Without what is set for every container: whoever makes another one from this would give it this one's name.
fn environment(recipe: &Recipe, image: &Defaults) -> Vec<String> {
    let key = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let given: Vec<String> =
        image.env.iter().chain(&recipe.request.process.env).map(|variable| key(variable)).collect();
    let ours = |variable: &&String| {
        let key = key(variable);
        matches!(key.as_str(), "HOSTNAME" | "TERM" | "HOME") && !given.contains(&key)
    };
    recipe.environment.iter().filter(|variable| !ours(variable)).cloned().collect()
}
