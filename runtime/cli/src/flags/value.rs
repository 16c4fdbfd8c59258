//! Value parsers that give Docker's words when a value is wrong.

use crate::relay::detach::DetachKeys;
use clap::{Arg, ArgAction};
use sandbox_engine::Isolation;
use sandbox_engine::parse::block_io::{self, Throttle, Weight};
use sandbox_engine::parse::{environment, limit, mount, signal, size, ulimit};

/// Go's `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    sandbox_engine::parse::mount_flag::boolean(text)
        .ok_or_else(|| format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))
}

pub(crate) fn bytes(text: &str) -> Result<i64, String> {
    size::bytes(text)
}

pub(crate) fn swap(text: &str) -> Result<i64, String> {
    size::swap_bytes(text)
}

pub(crate) fn cpus(text: &str) -> Result<i64, String> {
    limit::nano_cpus(text)
}

/// Go's `strconv.ParseInt`.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
}

/// `--cpu-shares`
pub(crate) fn cpu_shares(shares: i64) -> Result<u64, String> {
    u64::try_from(shares)
        .map_err(|_| format!("invalid CPU shares ({shares}): value must be a positive integer"))
}

pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    environment::label(text)
}

pub(crate) fn ulimit(text: &str) -> Result<ulimit::Ulimit, String> {
    ulimit::parse(text)
}

pub(crate) fn stop_signal(text: &str) -> Result<i32, String> {
    signal::parse(text)
}

pub(crate) fn mount(text: &str) -> Result<mount::Mount, String> {
    sandbox_engine::parse::mount_flag::parse(text)
}

pub(crate) fn tmpfs(text: &str) -> Result<mount::Mount, String> {
    sandbox_engine::parse::tmpfs::parse(text)
}

pub(crate) fn device(text: &str) -> Result<sandbox_engine::parse::device::Device, String> {
    sandbox_engine::parse::device::parse(text)
}

pub(crate) fn device_rule(text: &str) -> Result<String, String> {
    sandbox_engine::parse::device::rule(text)
}

pub(crate) fn byte_rate(text: &str) -> Result<Throttle, String> {
    block_io::bytes(text)
}

pub(crate) fn operation_rate(text: &str) -> Result<Throttle, String> {
    block_io::operations(text)
}

pub(crate) fn device_weight(text: &str) -> Result<Weight, String> {
    block_io::weight(text)
}

/// Go's `strconv.ParseUint` for a `uint16`.
pub(crate) fn weight(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
}

/// The ports of one `--expose`.
#[derive(Debug, Clone)]
pub(crate) struct Ports(pub(crate) Vec<String>);

pub(crate) fn expose(text: &str) -> Result<Ports, String> {
    sandbox_engine::parse::port::expose(text).map(Ports)
}

pub(crate) fn isolation(text: &str) -> Result<Isolation, String> {
    text.parse()
}

/// When a run pulls its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pull {
    Always,
    Missing,
    Never,
}

/// `--pull`.
pub(crate) fn pull(text: &str) -> Result<Pull, String> {
    match text {
        "always" => Ok(Pull::Always),
        "missing" | "" => Ok(Pull::Missing),
        "never" => Ok(Pull::Never),
        other => Err(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        )),
    }
}

/// `-a`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamName {
    Stdin,
    Stdout,
    Stderr,
}

pub(crate) fn stream(text: &str) -> Result<StreamName, String> {
    match text.to_lowercase().as_str() {
        "stdin" => Ok(StreamName::Stdin),
        "stdout" => Ok(StreamName::Stdout),
        "stderr" => Ok(StreamName::Stderr),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

pub(crate) fn restart(text: &str) -> Result<sandbox_shim::plan::Restart, String> {
    sandbox_engine::parse::restart::parse(text)
}

/// `--log-opt name=value`
pub(crate) fn log_option(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("invalid logging opt: {text}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn duration(text: &str) -> Result<u64, String> {
    sandbox_engine::parse::duration::parse(text)
}

pub(crate) fn detach_keys(text: &str) -> Result<DetachKeys, String> {
    text.parse()
}

/// `--filter key=value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl std::str::FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let (key, value) = text.split_once('=').ok_or("bad format of filter (expected name=value)")?;
        Ok(Filter { key: key.trim().to_lowercase(), value: value.trim().to_owned() })
    }
}

/// `inspect --type`
pub(crate) fn object_type(text: &str) -> Result<String, String> {
    match text {
        "" | "container" | "image" | "network" | "volume" => Ok(text.to_owned()),
        other => Err(format!("\"{other}\" is not a valid value for --type")),
    }
}

/// Lets a switch be written as Go's flags are: `--quiet`, `--quiet=true`, `--quiet=0`.
pub(crate) fn switch(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .value_parser(boolean)
        .hide_default_value(true)
        .hide_possible_values(true)
}
