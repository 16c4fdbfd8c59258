//! The command line: what there is to type. The grammar of values is the engine's ([`sandbox_engine::parse`]).

pub(crate) mod run;
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
    /// Root directory of persistent data
    #[arg(long, env = "SANDBOX_ROOT", value_name = "DIR", default_value = sandbox_engine::DEFAULT_ROOT, hide_env = true)]
    pub(crate) root: PathBuf,
    /// Root directory of the running containers' state
    #[arg(long, env = "SANDBOX_RUN_ROOT", value_name = "DIR", default_value = sandbox_engine::DEFAULT_RUN_ROOT, hide_env = true)]
    pub(crate) run_root: PathBuf,
}

const TEMPLATE: &str = "Usage:  {usage}\n\n{about}\n\nOptions:\n{options}";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create and run a new container from an image
    #[command(
        override_usage = "sandbox run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        help_template = TEMPLATE,
        disable_help_flag = true,
        args_override_self = true
    )]
    Run(Box<run::RunFlags>),
    /// Load images from an archive, a directory or standard input
    #[command(override_usage = "sandbox load [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Load(LoadFlags),
    /// List images
    #[command(
        override_usage = "sandbox images [OPTIONS] [REPOSITORY[:TAG]]",
        help_template = TEMPLATE,
        args_override_self = true
    )]
    Images(ImagesFlags),
    /// Tell whether this machine can run containers of both isolations, and why not
    #[command(override_usage = "sandbox doctor [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Doctor(DoctorFlags),
    /// Measure
    #[command(
        override_usage = "sandbox bench COMMAND",
        help_template = "Usage:  {usage}\n\n{about}\n\nCommands:\n{subcommands}",
        disable_help_subcommand = true
    )]
    Bench {
        #[command(subcommand)]
        what: BenchCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LoadFlags {
    /// Read from an archive file or a directory in OCI layout, instead of STDIN
    #[arg(short, long, value_name = "PATH")]
    pub(crate) input: Option<PathBuf>,
    /// Load only the given platform of an image, "os/arch[/variant]"
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Suppress the load output
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct ImagesFlags {
    /// Only show the images of this repository, or this image
    #[arg(value_name = "REPOSITORY[:TAG]", hide = true)]
    pub(crate) filter: Option<String>,
    /// Show all images
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Show digests
    #[arg(long)]
    pub(crate) digests: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorFlags {
    /// Do not boot a guest: look only at what needs no VM
    #[arg(long)]
    pub(crate) no_boot: bool,
}

#[derive(Debug, Subcommand)]
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
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(&texts);
    matches
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|e| Usage::from_clap(&e, &command, &texts))
}

#[cfg(test)]
mod tests;
