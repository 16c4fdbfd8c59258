//! The flags of `update`.

use clap::Args;
use sandbox_engine::request::Limits;
use sandbox_shim::plan::Restart;

use super::value;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct UpdateFlags {
    /// CPU shares (relative weight)
    #[arg(short = 'c', long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "decimal", value_parser = value::cpus, allow_negative_numbers = true)]
    pub(crate) cpus: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "string")]
    pub(crate) cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "string")]
    pub(crate) cpuset_mems: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "bytes", value_parser = value::bytes, allow_negative_numbers = true)]
    pub(crate) memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes", value_parser = value::bytes, allow_negative_numbers = true)]
    pub(crate) memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long, value_name = "bytes", value_parser = value::swap, allow_negative_numbers = true)]
    pub(crate) memory_swap: Option<i64>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "string", value_parser = value::restart)]
    pub(crate) restart: Option<Restart>,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    pub(crate) containers: Vec<String>,
}

impl UpdateFlags {
    /// What changes; what was not said stays.
    pub(crate) fn limits(&self) -> Result<Limits, Failure> {
        let limits = Limits {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            nano_cpus: self.cpus,
            cpu_shares: self.cpu_shares.map(value::cpu_shares).transpose().map_err(Failure::plain)?,
            cpuset_cpus: self.cpuset_cpus.clone().filter(|list| !list.is_empty()),
            cpuset_mems: self.cpuset_mems.clone().filter(|list| !list.is_empty()),
            pids: self.pids_limit.filter(|pids| *pids != 0),
            ..Limits::default()
        };
        if limits == Limits::default() && self.restart.is_none() {
            return Err(Failure::plain("you must provide one or more flags when using this command"));
        }
        Ok(limits)
    }
}
