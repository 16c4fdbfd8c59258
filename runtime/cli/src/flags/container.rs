//! The flags of the commands about containers that are there. Each is a command of its own and one below `container`.

use std::path::PathBuf;

use clap::Args;
use sandbox_engine::parse::environment;

use super::value;
use crate::failure::Failure;
use crate::relay::detach::DetachKeys;

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct StartFlags {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    pub(crate) attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string", value_parser = value::detach_keys)]
    pub(crate) detach_keys: Option<DetachKeys>,
    /// Attach container's STDIN
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Proxy received signals to the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", value_parser = value::boolean, hide_possible_values = true, hide = true)]
    pub(crate) sig_proxy: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct AttachFlags {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string", value_parser = value::detach_keys)]
    pub(crate) detach_keys: Option<DetachKeys>,
    /// Do not attach STDIN
    #[arg(long)]
    pub(crate) no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", value_parser = value::boolean, hide_possible_values = true)]
    pub(crate) sig_proxy: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
}

#[derive(Debug, Args)]
pub(crate) struct StopFlags {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string", value_parser = value::stop_signal)]
    pub(crate) signal: Option<i32>,
    /// Seconds to wait before killing the container
    #[arg(short, long, visible_alias = "time", value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) timeout: Option<i64>,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KillFlags {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string", default_value = "KILL", hide_default_value = true, value_parser = value::stop_signal)]
    pub(crate) signal: i32,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct RmFlags {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    pub(crate) volumes: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NamesFlags {
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReapFlags {
    #[arg(required = true, value_name = "ID", hide = true)]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct RenameFlags {
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
    #[arg(required = true, value_name = "NEW_NAME", hide = true)]
    pub(crate) new_name: String,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct ExecFlags {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string", value_parser = value::detach_keys)]
    pub(crate) detach_keys: Option<DetachKeys>,
    /// Set environment variables
    #[arg(short, long, value_name = "list")]
    pub(crate) env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long, value_name = "string")]
    pub(crate) user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    pub(crate) workdir: Option<String>,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND",
        hide = true
    )]
    pub(crate) command: Vec<String>,
}

impl ExecFlags {
    /// Files first, then `-e`, so that `-e` wins.
    pub(crate) fn environment(&self) -> Result<Vec<String>, Failure> {
        let lookup = |key: &str| std::env::var(key).ok();
        let mut variables = Vec::new();
        for path in &self.env_file {
            variables.extend(environment::file(path, lookup).map_err(Failure::engine)?);
        }
        for text in &self.env {
            variables.push(environment::variable(text, lookup).map_err(|why| {
                Failure::engine(format!("invalid argument {text:?} for \"-e, --env\" flag: {why}"))
            })?);
        }
        Ok(variables)
    }
}
