//! `exec`: another process in a running container, from what its own process was started with.

use std::path::Path;

use oci_spec::runtime as oci;
use sandbox_shim::plan::Plan;
use sandbox_shim::program::PLAN_FILE;
use sandbox_shim::wire::Exec;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id;
use crate::parse::mount::clean_path;
use crate::recipe::Recipe;
use crate::request::Privileges;
use crate::spec::privileged_process;
use crate::start::Size;
use crate::state::containers::Container;

/// What a front end asks for.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings of one process")]
pub struct ExecRequest {
    pub command: Vec<String>,
    /// `KEY=VALUE`, or `KEY` to take it out of the container's.
    pub env: Vec<String>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub privileged: bool,
    pub tty: bool,
    pub stdin: bool,
    pub detach: bool,
    pub size: Size,
}

impl Engine {
    /// What a container was made from.
    pub fn recipe(&self, container: &Container) -> Result<Recipe> {
        Recipe::read(&self.paths.container(&container.id))?
            .ok_or_else(|| Error::invalid(format!("container {} has lost its configuration", container.id)))
    }

    /// The order for the supervisor that runs a process in the container.
    pub fn exec(&self, container: &Container, request: &ExecRequest) -> Result<Exec> {
        let view = self.view(container.clone())?;
        match view.state() {
            "running" => {}
            "paused" => {
                return Err(Error::invalid(format!(
                    "Container {} is paused, unpause the container before exec",
                    container.id
                )));
            }
            "restarting" => {
                return Err(Error::invalid(format!(
                    "Container {} is restarting, wait until the container is running",
                    container.id
                )));
            }
            _ => return Err(Error::NotRunning(container.id.clone())),
        }
        let plan = plan(Path::new(&container.run_dir))?;
        let process = plan.spec.process().clone().unwrap_or_default();
        Ok(Exec {
            id: id::generate()?,
            process: self.process(container, process, request)?,
            user: request.user.clone().unwrap_or(plan.user),
            extra_groups: if request.user.is_some() { Vec::new() } else { plan.extra_groups },
            terminal: request.tty.then_some((request.size.rows, request.size.cols)),
            stdin: request.stdin,
            detach: request.detach,
        })
    }

    fn process(
        &self,
        container: &Container,
        mut process: oci::Process,
        request: &ExecRequest,
    ) -> Result<oci::Process> {
        if request.command.iter().chain(&request.env).any(|text| text.contains('\0')) {
            return Err(Error::invalid("an argument or a variable holds a NUL byte"));
        }
        if request.command.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        if let Some(dir) = request.working_dir.as_deref().filter(|dir| !dir.is_empty()) {
            if !dir.starts_with('/') {
                return Err(Error::invalid(format!(
                    "the working directory '{dir}' is invalid, it needs to be an absolute path"
                )));
            }
            process.set_cwd(clean_path(dir).into());
        }
        process.set_args(Some(request.command.clone()));
        process.set_terminal(Some(request.tty));
        let mut env = process.env().clone().unwrap_or_default();
        // The one of the container's own user is not that of another.
        env.retain(|variable| !(request.tty && variable.starts_with("TERM=")));
        if request.tty {
            env.push("TERM=xterm".to_owned());
        }
        let key = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
        for variable in &request.env {
            env.retain(|other| key(other) != key(variable));
            if variable.contains('=') {
                env.push(variable.clone());
            }
        }
        process.set_env(Some(env));
        if request.privileged {
            let privileges = Privileges { privileged: true, ..self.recipe(container)?.request.privileges };
            privileged_process(&mut process, &privileges)?;
        }
        Ok(process)
    }
}

/// What the running container was started from.
fn plan(run_dir: &Path) -> Result<Plan> {
    let path = run_dir.join(PLAN_FILE);
    let text = std::fs::read(&path).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&text).map_err(|source| Error::Json { what: path.display().to_string(), source })
}
