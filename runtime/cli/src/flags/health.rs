//! The flags `--health-*` of `run` and `create`.

use clap::Args;
use sandbox_engine::health::Wish;

use super::value;
use crate::failure::Failure;

// A doc comment would become the command's help text.
#[derive(Debug, Args)]
pub(crate) struct HealthFlags {
    /// Command to run to check health
    #[arg(long, value_name = "string")]
    pub(crate) health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h) (default 0s)
    #[arg(long, value_name = "duration", value_parser = value::duration)]
    pub(crate) health_interval: Option<u64>,
    /// Consecutive failures needed to report unhealthy
    #[arg(long, value_name = "int")]
    pub(crate) health_retries: Option<u32>,
    /// Time between running the check during the start period (ms|s|m|h) (default 0s)
    #[arg(long, value_name = "duration", value_parser = value::duration)]
    pub(crate) health_start_interval: Option<u64>,
    /// Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)
    #[arg(long, value_name = "duration", value_parser = value::duration)]
    pub(crate) health_start_period: Option<u64>,
    /// Maximum time to allow one check to run (ms|s|m|h) (default 0s)
    #[arg(long, value_name = "duration", value_parser = value::duration)]
    pub(crate) health_timeout: Option<u64>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) no_healthcheck: bool,
}

impl HealthFlags {
    pub(super) fn wish(&self) -> Result<Option<Wish>, Failure> {
        let wish = Wish {
            test: self
                .health_cmd
                .iter()
                .filter(|text| !text.is_empty())
                .flat_map(|text| ["CMD-SHELL".to_owned(), text.clone()])
                .collect(),
            interval: self.health_interval.unwrap_or(0),
            timeout: self.health_timeout.unwrap_or(0),
            start_period: self.health_start_period.unwrap_or(0),
            start_interval: self.health_start_interval.unwrap_or(0),
            retries: self.health_retries.unwrap_or(0),
        };
        match (self.no_healthcheck, wish == Wish::default()) {
            (true, false) => Err(Failure::run("--no-healthcheck conflicts with --health-* options")),
            (true, true) => Ok(Some(Wish { test: vec!["NONE".to_owned()], ..Wish::default() })),
            (false, true) => Ok(None),
            (false, false) => Ok(Some(wish)),
        }
    }
}
