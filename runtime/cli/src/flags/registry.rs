//! The flags of the commands about registries and who we are to them.

use clap::Args;

use super::value;
use value::Filter;

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct LoginFlags {
    /// Password or Personal Access Token (PAT), or "-" to read from stdin
    #[arg(short, long, value_name = "string")]
    pub(crate) password: Option<String>,
    /// Take the Password or Personal Access Token (PAT) from stdin
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Username
    #[arg(short, long, value_name = "string")]
    pub(crate) username: Option<String>,
    #[arg(value_name = "SERVER", hide = true)]
    pub(crate) server: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutFlags {
    #[arg(value_name = "SERVER", hide = true)]
    pub(crate) server: Option<String>,
}

#[derive(Debug, Args)]
#[command(mut_args(value::switch))]
pub(crate) struct SearchFlags {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    pub(crate) filter: Vec<Filter>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "int", value_parser = value::integer, default_value = "0", hide_default_value = true, allow_negative_numbers = true)]
    pub(crate) limit: i64,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    #[arg(required = true, value_name = "TERM", hide = true)]
    pub(crate) term: String,
}
