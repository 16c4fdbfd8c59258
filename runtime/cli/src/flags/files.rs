//! The flags of the commands about a container's files.

use std::path::PathBuf;

use clap::Args;

use super::value;

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct CpFlags {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    pub(crate) archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    pub(crate) follow_link: bool,
    /// Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = value::boolean, hide_possible_values = true)]
    pub(crate) quiet: Option<bool>,
    #[arg(required = true, value_name = "SRC", hide = true)]
    pub(crate) source: String,
    #[arg(required = true, value_name = "DEST", hide = true)]
    pub(crate) destination: String,
}

#[derive(Debug, Args)]
pub(crate) struct DiffFlags {
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExportFlags {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    pub(crate) output: Option<PathBuf>,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct CommitFlags {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long, value_name = "string", default_value = "", hide_default_value = true)]
    pub(crate) author: String,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    pub(crate) change: Vec<String>,
    /// Commit message
    #[arg(short, long, value_name = "string", default_value = "", hide_default_value = true)]
    pub(crate) message: String,
    /// Disable pausing container during commit
    #[arg(long)]
    pub(crate) no_pause: bool,
    /// Pause container during commit (default true)
    #[arg(short, long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = value::boolean, hide = true)]
    pub(crate) pause: bool,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) container: String,
    #[arg(value_name = "REPOSITORY[:TAG]", hide = true)]
    pub(crate) name: Option<String>,
}
