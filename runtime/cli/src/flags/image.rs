//! The flags of the image commands. Each is a command of its own and one below `image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sandbox_image::Platform;

use super::{TEMPLATE, value};
use value::Filter;

/// Manage images
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ImageCommand {
    /// Show the history of an image
    #[command(override_usage = "sandbox image history [OPTIONS] IMAGE", help_template = TEMPLATE, args_override_self = true)]
    History(HistoryFlags),
    /// Import the contents from a tarball to create a filesystem image
    #[command(override_usage = "sandbox image import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]", help_template = TEMPLATE, args_override_self = true)]
    Import(ImportFlags),
    /// Display detailed information on one or more images
    #[command(override_usage = "sandbox image inspect [OPTIONS] IMAGE [IMAGE...]", help_template = TEMPLATE, args_override_self = true)]
    Inspect(ImageInspectFlags),
    /// Load images from an archive, a directory or standard input
    #[command(override_usage = "sandbox image load [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Load(LoadFlags),
    /// List images
    #[command(alias = "list", override_usage = "sandbox image ls [OPTIONS] [REPOSITORY[:TAG]]", help_template = TEMPLATE, args_override_self = true)]
    Ls(ImagesFlags),
    /// Remove unused images
    #[command(override_usage = "sandbox image prune [OPTIONS]", help_template = TEMPLATE, args_override_self = true)]
    Prune(PruneFlags),
    /// Download an image from a registry
    #[command(override_usage = "sandbox image pull [OPTIONS] NAME[:TAG|@DIGEST]", help_template = TEMPLATE, args_override_self = true)]
    Pull(PullFlags),
    /// Upload an image to a registry
    #[command(override_usage = "sandbox image push [OPTIONS] NAME[:TAG]", help_template = TEMPLATE, args_override_self = true)]
    Push(PushFlags),
    /// Remove one or more images
    #[command(aliases = ["remove", "rmi"], override_usage = "sandbox image rm [OPTIONS] IMAGE [IMAGE...]", help_template = TEMPLATE, args_override_self = true)]
    Rm(RemoveFlags),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    #[command(override_usage = "sandbox image save [OPTIONS] IMAGE [IMAGE...]", help_template = TEMPLATE, args_override_self = true)]
    Save(SaveFlags),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    #[command(override_usage = "sandbox image tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", help_template = TEMPLATE, args_override_self = true)]
    Tag(TagFlags),
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct PullFlags {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,
    /// Take the image of this platform from a multi-platform one, "os/arch[/variant]"
    #[arg(long, value_name = "string")]
    pub(crate) platform: Option<Platform>,
    /// Suppress verbose output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[arg(required = true, value_name = "NAME", hide = true)]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct PushFlags {
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,
    /// Refuse to push an image of another platform than this, "os/arch[/variant]"
    #[arg(long, value_name = "string")]
    pub(crate) platform: Option<Platform>,
    /// Suppress verbose output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[arg(required = true, value_name = "NAME", hide = true)]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct ImagesFlags {
    /// Show all images (default hides dangling images)
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Show digests
    #[arg(long)]
    pub(crate) digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    pub(crate) filter: Vec<Filter>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only show the images of this repository, or this image
    #[arg(value_name = "REPOSITORY[:TAG]", hide = true)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TagFlags {
    #[arg(required = true, value_name = "SOURCE_IMAGE", hide = true)]
    pub(crate) source: String,
    #[arg(required = true, value_name = "TARGET_IMAGE", hide = true)]
    pub(crate) target: String,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct RemoveFlags {
    /// Force removal of the image
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    pub(crate) no_prune: bool,
    #[arg(required = true, value_name = "IMAGE", hide = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct HistoryFlags {
    /// Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", value_parser = value::boolean, action = clap::ArgAction::Set, hide_possible_values = true)]
    pub(crate) human: bool,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[arg(required = true, value_name = "IMAGE", hide = true)]
    pub(crate) image: String,
}

#[derive(Debug, Args)]
pub(crate) struct ImageInspectFlags {
    /// Format output: 'json' or 'TEMPLATE'
    #[arg(short, long, value_name = "string")]
    pub(crate) format: Option<String>,
    #[arg(required = true, value_name = "IMAGE", hide = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct LoadFlags {
    /// Read from an archive file or a directory in OCI layout, instead of STDIN
    #[arg(short, long, value_name = "PATH")]
    pub(crate) input: Option<PathBuf>,
    /// Load only the given platform of an image, "os/arch[/variant]"
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Suppress the load output
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SaveFlags {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    pub(crate) output: Option<PathBuf>,
    /// Refuse to save an image of another platform than this, "os/arch[/variant]"
    #[arg(long, value_name = "string")]
    pub(crate) platform: Option<Platform>,
    #[arg(required = true, value_name = "IMAGE", hide = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportFlags {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    pub(crate) change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long, value_name = "string", default_value = "", hide_default_value = true)]
    pub(crate) message: String,
    /// Set the platform of the image, "os/arch[/variant]"
    #[arg(long, value_name = "string")]
    pub(crate) platform: Option<Platform>,
    #[arg(required = true, value_name = "SOURCE", hide = true)]
    pub(crate) source: String,
    #[arg(value_name = "REPOSITORY[:TAG]", hide = true)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct PruneFlags {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter")]
    pub(crate) filter: Vec<Filter>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}
