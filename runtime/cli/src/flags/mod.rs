//! The command line: what there is to type. The grammar of values is the engine's ([`sandbox_engine::parse`]).

pub(crate) mod container;
pub(crate) mod events;
mod health;
pub(crate) mod image;
pub(crate) mod logs;
mod refused;
pub(crate) mod registry;
pub(crate) mod run;
pub(crate) mod system;
pub(crate) mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

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
    #[arg(long, env = "SANDBOX_ROOT", value_name = "DIR", default_value = sandbox_engine::DEFAULT_ROOT, hide_env = true)]
    pub(crate) root: PathBuf,
    /// Root directory of the running containers' state
    #[arg(long, env = "SANDBOX_RUN_ROOT", value_name = "DIR", default_value = sandbox_engine::DEFAULT_RUN_ROOT, hide_env = true)]
    pub(crate) run_root: PathBuf,
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
    /// Stop one or more running containers
    #[command(override_usage = "sandbox stop [OPTIONS] CONTAINER [CONTAINER...]", help_template = TEMPLATE, args_override_self = true)]
    Stop(container::StopFlags),
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
