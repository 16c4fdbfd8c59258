//! `container` and the commands that tell of containers.

use clap::{Args, Subcommand};

use super::container::{
    AttachFlags, ExecFlags, KillFlags, NamesFlags, RenameFlags, RmFlags, StartFlags, StopFlags,
};
use super::run::{CreateFlags, RunFlags};
use super::update::UpdateFlags;
use super::{TEMPLATE, value};
use value::Filter;

/// Manage containers
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ContainerCommand {
    /// Attach local standard input, output, and error streams to a running container
    #[command(override_usage = "sandbox container attach [OPTIONS] CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Attach(AttachFlags),
    /// Create a new image from a container's changes
    #[command(override_usage = "sandbox container commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]", help_template = TEMPLATE, args_override_self = true)]
    Commit(super::files::CommitFlags),
    /// Copy files/folders between a container and the local filesystem
    #[command(override_usage = "sandbox container cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tsandbox container cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", help_template = TEMPLATE, args_override_self = true)]
    Cp(super::files::CpFlags),
    /// Create a new container
    #[command(
        override_usage = "sandbox container create [OPTIONS] IMAGE [COMMAND] [ARG...]",
        help_template = TEMPLATE,
        disable_help_flag = true,
        args_override_self = true
    )]
    Create(Box<CreateFlags>),
    /// Inspect changes to files or directories on a container's filesystem
    #[command(override_usage = "sandbox container diff CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Diff(super::files::DiffFlags),
    /// Execute a command in a running container
    #[command(override_usage = "sandbox container exec [OPTIONS] CONTAINER COMMAND [ARG...]", help_template = TEMPLATE, args_override_self = true)]
    Exec(ExecFlags),
    /// Export a container's filesystem as a tar archive
    #[command(override_usage = "sandbox container export [OPTIONS] CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Export(super::files::ExportFlags),
    /// Display detailed information on one or more containers
    #[command(override_usage = "sandbox container inspect [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Inspect(ContainerInspectFlags),
    /// Kill one or more running containers
    #[command(override_usage = "sandbox container kill [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Kill(KillFlags),
    /// List containers
    #[command(aliases = ["list", "ps"], override_usage = "sandbox container ls [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Ls(PsFlags),
    /// Fetch the logs of a container
    #[command(override_usage = "sandbox container logs [OPTIONS] CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Logs(super::logs::LogsFlags),
    /// Pause all processes within one or more containers
    #[command(override_usage = "sandbox container pause CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Pause(NamesFlags),
    /// List port mappings or a specific mapping for the container
    #[command(override_usage = "sandbox container port CONTAINER [PRIVATE_PORT[/PROTO]]", help_template = TEMPLATE, args_override_self = true)]
    Port(PortFlags),
    /// Remove all stopped containers
    #[command(override_usage = "sandbox container prune [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Prune(ContainerPruneFlags),
    /// Rename a container
    #[command(override_usage = "sandbox container rename CONTAINER NEW_NAME", help_template = TEMPLATE, args_override_self = true)]
    Rename(RenameFlags),
    /// Restart one or more containers
    #[command(override_usage = "sandbox container restart [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Restart(StopFlags),
    /// Remove one or more containers
    #[command(alias = "remove", override_usage = "sandbox container rm [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Rm(RmFlags),
    /// Create and run a new container from an image
    #[command(
        override_usage = "sandbox container run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        help_template = TEMPLATE,
        disable_help_flag = true,
        args_override_self = true
    )]
    Run(Box<RunFlags>),
    /// Start one or more stopped containers
    #[command(override_usage = "sandbox container start [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Start(StartFlags),
    /// Display a live stream of container(s) resource usage statistics
    #[command(override_usage = "sandbox container stats [OPTIONS] [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Stats(StatsFlags),
    /// Stop one or more running containers
    #[command(override_usage = "sandbox container stop [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Stop(StopFlags),
    /// Display the running processes of a container
    #[command(override_usage = "sandbox container top CONTAINER [ps OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Top(TopFlags),
    /// Unpause all processes within one or more containers
    #[command(override_usage = "sandbox container unpause CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Unpause(NamesFlags),
    /// Update configuration of one or more containers
    #[command(override_usage = "sandbox container update [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Update(UpdateFlags),
    /// Block until one or more containers stop, then print their exit codes
    #[command(override_usage = "sandbox container wait CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Wait(NamesFlags),
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct PsFlags {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    pub(crate) filter: Vec<Filter>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "int", default_value = "-1", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) last: i64,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    pub(crate) latest: bool,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    pub(crate) size: bool,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct ContainerInspectFlags {
    /// Format output: 'json' or 'TEMPLATE'
    #[arg(short, long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    pub(crate) size: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct ContainerPruneFlags {
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter")]
    pub(crate) filter: Vec<Filter>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PortFlags {
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
    #[arg(value_name = "PRIVATE_PORT[/PROTO]", hide = true)]
    pub(crate) port: Option<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct StatsFlags {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TopFlags {
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ps OPTIONS", hide = true)]
    pub(crate) options: Vec<String>,
}
