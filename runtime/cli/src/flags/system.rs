//! The flags of `system` and `inspect`.

use clap::{Args, Subcommand};

use super::{TEMPLATE, value};

/// Manage sandbox
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum SystemCommand {
    /// Start the containers that should run after the host was started
    #[command(override_usage = "sandbox system boot", help_template = TEMPLATE, args_override_self = true)]
    Boot,
    /// Look for what is damaged or left over
    #[command(override_usage = "sandbox system check [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Check(CheckFlags),
    /// Show sandbox disk usage
    #[command(override_usage = "sandbox system df [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Df(DfFlags),
    /// Display system-wide information
    #[command(override_usage = "sandbox system info [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Info(FormatFlags),
    /// Remove unused data
    #[command(override_usage = "sandbox system prune [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Prune(SystemPruneFlags),
    /// Get real time events from the server
    #[command(override_usage = "sandbox system events [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Events(super::events::EventsFlags),
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct CheckFlags {
    /// Read all content of images and compute its digests again
    #[arg(long)]
    pub(crate) images: bool,
    /// Remove what is left over, and what is damaged so that it can be pulled again
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FormatFlags {
    /// Format output: 'json' or 'TEMPLATE'
    #[arg(short, long, value_name = "string")]
    pub(crate) format: Option<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct SystemPruneFlags {
    /// Remove all unused images not just dangling ones
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Provide filter values (e.g. "label=<key>=<value>")
    #[arg(long, value_name = "filter")]
    pub(crate) filter: Vec<value::Filter>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    pub(crate) volumes: bool,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct DfFlags {
    /// Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct InspectFlags {
    /// Format output: 'json' or 'TEMPLATE'
    #[arg(short, long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    pub(crate) size: bool,
    /// Only inspect objects of the given type
    #[arg(long, value_name = "string", value_parser = value::object_type)]
    pub(crate) r#type: Option<String>,
    #[arg(required = true, value_name = "NAME|ID", hide = true)]
    pub(crate) names: Vec<String>,
}
