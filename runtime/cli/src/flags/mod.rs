//! The command line: what there is to type. The grammar of values is the engine's ([`sandbox_engine::parse`]).

pub(crate) mod container;
pub(crate) mod containers;
pub(crate) mod events;
pub(crate) mod files;
mod health;
pub(crate) mod image;
pub(crate) mod logs;
mod refused;
pub(crate) mod registry;
pub(crate) mod run;
pub(crate) mod system;
pub(crate) mod update;
pub(crate) mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use sandbox_engine::Settings;

use crate::usage::Usage;

/// A whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "sandbox",
    version,
    about = "Run OCI images in namespaces or in microVMs of their own",
    override_usage = "sandbox [OPTIONS] COMMAND",
    help_template = "Usage:  {usage}\n\n{about}\n\nCommands:\n{subcommands}\n\nGlobal Options:\n{options}\n\n\
                     Run 'sandbox COMMAND --help' for more information on a command.",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    args_override_self = true,
    propagate_version = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// In front of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Configuration file
    #[arg(long, env = "SANDBOX_CONFIG", value_name = "FILE", default_value = sandbox_engine::DEFAULT_CONFIG, hide_env = true)]
    pub(crate) config: PathBuf,
    /// Root directory of persistent data
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Root directory of the running containers' state
    #[arg(long, value_name = "DIR")]
    pub(crate) run_root: Option<PathBuf>,
}

impl Global {
    /// What is in force.
    pub(crate) fn settings(&self) -> sandbox_engine::Result<Settings> {
        let flags = sandbox_engine::Flags { root: self.root.as_deref(), run_root: self.run_root.as_deref() };
        Settings::resolve(&self.config, flags)
    }

    /// The same flags for another command of ours.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let flags = [
            ("--config", Some(&self.config)),
            ("--root", self.root.as_ref()),
            ("--run-root", self.run_root.as_ref()),
        ];
        let given = flags.into_iter().filter_map(|(flag, path)| Some([flag.into(), path?.clone().into()]));
        given.flatten().collect()
    }
}

const TEMPLATE: &str = "Usage:  {usage}\n\n{about}\n\nOptions:\n{options}";

/// The help of a command that is a group of others.
macro_rules! group {
    ($name:literal) => {
        concat!(
            "Usage:  {usage}\n\n{about}\n\nCommands:\n{subcommands}\n\nRun 'sandbox ",
            $name,
            " COMMAND --help' for more information on a command."
        )
    };
}

/// The commands. Their flags are made when they are asked for: a run does not pay for the others'.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Create and run a new container from an image
    #[command(
        override_usage = "sandbox run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        help_template = TEMPLATE,
        disable_help_flag = true,
        args_override_self = true
    )]
    Run(Box<run::RunFlags>),
    /// Attach local standard input, output, and error streams to a running container
    #[command(override_usage = "sandbox attach [OPTIONS] CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Attach(container::AttachFlags),
    /// Create a new container
    #[command(
        override_usage = "sandbox create [OPTIONS] IMAGE [COMMAND] [ARG...]",
        help_template = TEMPLATE,
        disable_help_flag = true,
        args_override_self = true
    )]
    Create(Box<run::CreateFlags>),
    /// Execute a command in a running container
    #[command(override_usage = "sandbox exec [OPTIONS] CONTAINER COMMAND [ARG...]", help_template = TEMPLATE, args_override_self = true)]
    Exec(container::ExecFlags),
    /// Kill one or more running containers
    #[command(override_usage = "sandbox kill [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Kill(container::KillFlags),
    /// Pause all processes within one or more containers
    #[command(override_usage = "sandbox pause CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Pause(container::NamesFlags),
    /// List port mappings or a specific mapping for the container
    #[command(override_usage = "sandbox port CONTAINER [PRIVATE_PORT[/PROTO]]", help_template = TEMPLATE, args_override_self = true)]
    Port(containers::PortFlags),
    /// List containers
    #[command(override_usage = "sandbox ps [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Ps(containers::PsFlags),
    /// Rename a container
    #[command(override_usage = "sandbox rename CONTAINER NEW_NAME", help_template = TEMPLATE, args_override_self = true)]
    Rename(container::RenameFlags),
    /// Restart one or more containers
    #[command(override_usage = "sandbox restart [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Restart(container::StopFlags),
    /// Remove one or more containers
    #[command(override_usage = "sandbox rm [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Rm(container::RmFlags),
    /// Start one or more stopped containers
    #[command(override_usage = "sandbox start [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Start(container::StartFlags),
    /// Display a live stream of container(s) resource usage statistics
    #[command(override_usage = "sandbox stats [OPTIONS] [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Stats(containers::StatsFlags),
    /// Stop one or more running containers
    #[command(override_usage = "sandbox stop [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Stop(container::StopFlags),
    /// Display the running processes of a container
    #[command(override_usage = "sandbox top CONTAINER [ps OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Top(containers::TopFlags),
    /// Unpause all processes within one or more containers
    #[command(override_usage = "sandbox unpause CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Unpause(container::NamesFlags),
    /// Update configuration of one or more containers
    #[command(override_usage = "sandbox update [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Update(update::UpdateFlags),
    /// Block until one or more containers stop, then print their exit codes
    #[command(override_usage = "sandbox wait CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Wait(container::NamesFlags),
    /// What a supervisor becomes at its end
    #[command(name = sandbox_engine::REAP, hide = true)]
    Reap(container::ReapFlags),
    /// Download an image from a registry
    #[command(override_usage = "sandbox pull [OPTIONS] NAME[:TAG|@DIGEST]", help_template = TEMPLATE, args_override_self = true)]
    Pull(image::PullFlags),
    /// Upload an image to a registry
    #[command(override_usage = "sandbox push [OPTIONS] NAME[:TAG]", help_template = TEMPLATE, args_override_self = true)]
    Push(image::PushFlags),
    /// List images
    #[command(override_usage = "sandbox images [OPTIONS] [REPOSITORY[:TAG]]", help_template = TEMPLATE, args_override_self = true)]
    Images(image::ImagesFlags),
    /// Copy files/folders between a container and the local filesystem
    #[command(override_usage = "sandbox cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tsandbox cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", help_template = TEMPLATE, args_override_self = true)]
    Cp(files::CpFlags),
    /// Inspect changes to files or directories on a container's filesystem
    #[command(override_usage = "sandbox diff CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Diff(files::DiffFlags),
    /// Export a container's filesystem as a tar archive
    #[command(override_usage = "sandbox export [OPTIONS] CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Export(files::ExportFlags),
    /// Create a new image from a container's changes
    #[command(override_usage = "sandbox commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]", help_template = TEMPLATE, args_override_self = true)]
    Commit(files::CommitFlags),
    /// Authenticate to a registry
    #[command(override_usage = "sandbox login [OPTIONS] [SERVER]", help_template = TEMPLATE, args_override_self = true)]
    Login(registry::LoginFlags),
    /// Log out from a registry
    #[command(override_usage = "sandbox logout [SERVER]", help_template = TEMPLATE, args_override_self = true)]
    Logout(registry::LogoutFlags),
    /// Search Docker Hub for images
    #[command(override_usage = "sandbox search [OPTIONS] TERM", help_template = TEMPLATE, args_override_self = true)]
    Search(registry::SearchFlags),
    /// Show the history of an image
    #[command(override_usage = "sandbox history [OPTIONS] IMAGE", help_template = TEMPLATE, args_override_self = true)]
    History(image::HistoryFlags),
    /// Import the contents from a tarball to create a filesystem image
    #[command(override_usage = "sandbox import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]", help_template = TEMPLATE, args_override_self = true)]
    Import(image::ImportFlags),
    /// Display system-wide information
    #[command(override_usage = "sandbox info [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Info(system::FormatFlags),
    /// Return low-level information on objects
    #[command(override_usage = "sandbox inspect [OPTIONS] NAME|ID [NAME|ID...]", help_template = TEMPLATE, args_override_self = true)]
    Inspect(system::InspectFlags),
    /// Get real time events from the server
    #[command(override_usage = "sandbox events [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Events(events::EventsFlags),
    /// Fetch the logs of a container
    #[command(override_usage = "sandbox logs [OPTIONS] CONTAINER", help_template = TEMPLATE, args_override_self = true)]
    Logs(logs::LogsFlags),
    /// Load images from an archive, a directory or standard input
    #[command(override_usage = "sandbox load [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Load(image::LoadFlags),
    /// Remove one or more images
    #[command(override_usage = "sandbox rmi [OPTIONS] IMAGE [IMAGE...]", help_template = TEMPLATE, args_override_self = true)]
    Rmi(image::RemoveFlags),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    #[command(override_usage = "sandbox save [OPTIONS] IMAGE [IMAGE...]", help_template = TEMPLATE, args_override_self = true)]
    Save(image::SaveFlags),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    #[command(override_usage = "sandbox tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", help_template = TEMPLATE, args_override_self = true)]
    Tag(image::TagFlags),
    /// Show the sandbox version information
    #[command(override_usage = "sandbox version [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Version(system::FormatFlags),
    /// Manage containers
    #[command(override_usage = "sandbox container COMMAND", help_template = group!("container"), disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
    Container {
        #[command(subcommand)]
        what: containers::ContainerCommand,
    },
    /// Manage images
    #[command(override_usage = "sandbox image COMMAND", help_template = group!("image"), disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
    Image {
        #[command(subcommand)]
        what: image::ImageCommand,
    },
    /// Manage sandbox
    #[command(override_usage = "sandbox system COMMAND", help_template = group!("system"), disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
    System {
        #[command(subcommand)]
        what: system::SystemCommand,
    },
    /// Tell whether this machine can run containers of both isolations, and why not
    #[command(override_usage = "sandbox doctor [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Doctor(DoctorFlags),
    /// Measure
    #[command(override_usage = "sandbox bench COMMAND", help_template = group!("bench"), disable_help_subcommand = true)]
    Bench {
        #[command(subcommand)]
        what: BenchCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorFlags {
    /// Do not boot a guest: look only at what needs no VM
    #[arg(long)]
    pub(crate) no_boot: bool,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum BenchCommand {
    /// Measure how long containers take to start and end, side by side
    #[command(
        override_usage = "sandbox bench startup [OPTIONS] IMAGE [COMMAND] [ARG...]",
        help_template = TEMPLATE,
        args_override_self = true
    )]
    Startup(StartupFlags),
}

#[derive(Debug, Args)]
pub(crate) struct StartupFlags {
    /// Runs per isolation
    #[arg(short = 'n', long = "runs", value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: u32,
    /// Runs at a time
    #[arg(long, value_name = "C", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) concurrency: u32,
    /// Isolations to compare
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "process,vm", value_parser = value::isolation)]
    pub(crate) isolation: Vec<sandbox_engine::Isolation>,
    /// Write all figures as JSON to this file, - for stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the distributions into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Runs before the measured ones, per isolation
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) warm_up: u32,
    /// Image and command
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE", hide = true)]
    pub(crate) image_and_command: Vec<String>,
}

/// Parses a command line; help and errors come back as what to print.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, Usage> {
    let mut texts = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let text = argument.to_str().ok_or_else(|| Usage {
            text: format!("sandbox: argument {} is not UTF-8", argument.to_string_lossy()),
            code: crate::failure::ENGINE,
        })?;
        texts.push(text.to_owned());
    }
    let matches = Cli::command().try_get_matches_from(&texts);
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        let mut command = Cli::command();
        command.build();
        Usage::from_clap(&error, &command, &texts)
    })
}

#[cfg(test)]
mod tests;
