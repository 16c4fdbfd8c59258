//! Value parsers that give Docker's words when a value is wrong.

use sandbox_engine::Isolation;
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

pub(crate) fn isolation(text: &str) -> Result<Isolation, String> {
    text.parse()
}

/// `--pull`.
pub(crate) fn pull(text: &str) -> Result<String, String> {
    match text {
        "always" | "missing" | "never" => Ok(text.to_owned()),
        other => Err(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        )),
    }
}
