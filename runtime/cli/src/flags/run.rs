//! The flags of `sandbox create` and `sandbox run`, and how they become a request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sandbox_engine::health::Wish;
use sandbox_engine::parse::{
    device::Device, environment, mount::Mount, security, security::Security, ulimit::Ulimit, volume,
};
use sandbox_engine::request::{Limits, Log, Network, Privileges, Process, Request, Vm};
use sandbox_engine::{Isolation, Settings};
use sandbox_image::Platform;
use sandbox_shim::plan::Restart;
use sandbox_shim::wire::Attach;

use super::value::{self, Pull, StreamName};
use crate::failure::Failure;
use crate::relay::detach::DetachKeys;

// What `run` has besides; a doc comment would become its help text.
#[derive(Debug, Args)]
#[command(next_display_order = None)]
pub(crate) struct RunFlags {
    #[command(flatten)]
    pub(crate) create: CreateFlags,
    /// Run container in background and print container ID
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string", value_parser = value::detach_keys)]
    pub(crate) detach_keys: Option<DetachKeys>,
    /// Proxy received signals to the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", value_parser = value::boolean, hide_possible_values = true)]
    pub(crate) sig_proxy: bool,
    /// Write the clocks and phases of the start as JSON to a file, - for STDERR
    #[arg(long, value_name = "file")]
    pub(crate) timings: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct CreateFlags {
    /// Add an annotation to the container (passed through to the OCI runtime)
    #[arg(long, value_name = "map", value_parser = value::label)]
    pub(crate) annotation: Vec<(String, String)>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short, long, value_name = "list", value_parser = value::stream)]
    pub(crate) attach: Vec<StreamName>,
    /// Add Linux capabilities
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) cap_drop: Vec<String>,
    /// Write the container ID to the file
    #[arg(long, value_name = "string")]
    pub(crate) cidfile: Option<PathBuf>,
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
    /// Add a host device to the container
    #[arg(long, value_name = "list", value_parser = value::device)]
    pub(crate) device: Vec<Device>,
    /// Container NIS domain name
    #[arg(long, value_name = "string")]
    pub(crate) domainname: Option<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "string")]
    pub(crate) entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list")]
    pub(crate) env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Add additional groups to join
    #[arg(long, value_name = "list")]
    pub(crate) group_add: Vec<String>,
    #[command(flatten)]
    pub(crate) health: HealthFlags,
    /// Container host name
    #[arg(short = 'h', long, value_name = "string")]
    pub(crate) hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) init: bool,
    /// Keep STDIN open even if not attached
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) interactive: bool,
    /// Container isolation technology: "process" (namespaces) or "vm" (a microVM of its own)
    #[arg(long, value_name = "string")]
    pub(crate) isolation: Option<String>,
    /// Guest kernel of --isolation=vm instead of the installed one
    #[arg(long, value_name = "path")]
    pub(crate) kernel: Option<PathBuf>,
    /// Set meta data on a container
    #[arg(short, long, value_name = "list", value_parser = value::label)]
    pub(crate) label: Vec<(String, String)>,
    /// Read in a line delimited file of labels
    #[arg(long, value_name = "list")]
    pub(crate) label_file: Vec<PathBuf>,
    /// Show the guest kernel's console on STDERR (--isolation=vm)
    #[arg(long, alias = "serial", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) boot_log: bool,
    /// Logging driver for the container
    #[arg(long, value_name = "string")]
    pub(crate) log_driver: Option<String>,
    /// Log driver options
    #[arg(long, value_name = "list", value_parser = value::log_option)]
    pub(crate) log_opt: Vec<(String, String)>,
    /// Memory limit
    #[arg(short, long, value_name = "bytes", value_parser = value::bytes, allow_negative_numbers = true)]
    pub(crate) memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes", value_parser = value::bytes, allow_negative_numbers = true)]
    pub(crate) memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "bytes", value_parser = value::swap, allow_negative_numbers = true)]
    pub(crate) memory_swap: Option<i64>,
    /// Attach a filesystem mount to the container
    #[arg(long, value_name = "mount", value_parser = value::mount)]
    pub(crate) mount: Vec<Mount>,
    /// Assign a name to the container
    #[arg(long, value_name = "string")]
    pub(crate) name: Option<String>,
    /// Connect a container to a network: "default", "none" or "host"
    #[arg(long, alias = "net", value_name = "network")]
    pub(crate) network: Option<String>,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) oom_score_adj: Option<i64>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) pids_limit: Option<i64>,
    /// Take the image of this platform, "os/arch[/variant]"
    #[arg(long, value_name = "string")]
    pub(crate) platform: Option<Platform>,
    /// Give extended privileges to this container
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) privileged: bool,
    /// Pull image before running ("always", "missing", "never")
    #[arg(long, value_name = "string", default_value = "missing", value_parser = value::pull)]
    pub(crate) pull: Pull,
    /// Suppress the pull output
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) read_only: bool,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "string", default_value = "no", value_parser = value::restart)]
    pub(crate) restart: Restart,
    /// Automatically remove the container and its associated anonymous volumes when it exits
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) rm: bool,
    /// Security Options
    #[arg(long, value_name = "list")]
    pub(crate) security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "bytes", value_parser = value::bytes)]
    pub(crate) shm_size: Option<i64>,
    /// Signal to stop the container
    #[arg(long, value_name = "string", value_parser = value::stop_signal)]
    pub(crate) stop_signal: Option<i32>,
    /// Timeout (in seconds) to stop a container
    #[arg(long, value_name = "int")]
    pub(crate) stop_timeout: Option<u32>,
    /// Sysctl options
    #[arg(long, value_name = "map", value_parser = value::label)]
    pub(crate) sysctl: Vec<(String, String)>,
    /// Seconds after which the container is killed
    #[arg(long, value_name = "int")]
    pub(crate) timeout: Option<u32>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "list", value_parser = value::tmpfs)]
    pub(crate) tmpfs: Vec<Mount>,
    /// Allocate a pseudo-TTY
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) tty: bool,
    /// Ulimit options
    #[arg(long, value_name = "ulimit", value_parser = value::ulimit)]
    pub(crate) ulimit: Vec<Ulimit>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long, value_name = "string")]
    pub(crate) user: Option<String>,
    /// Bind mount a volume
    #[arg(short, long, value_name = "list")]
    pub(crate) volume: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    pub(crate) workdir: Option<String>,
    /// Print usage
    #[arg(long, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Image, command and its arguments: options stop at the image
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE", hide = true)]
    pub(crate) image_and_command: Vec<String>,
}

// `--health-*`; a doc comment would become the command's help text.
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
    fn wish(&self) -> Result<Option<Wish>, Failure> {
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

impl CreateFlags {
    /// The streams that a command which waits is attached to: all that `-a` names, else all.
    pub(crate) fn attached(&self) -> Attach {
        if self.attach.is_empty() {
            return Attach { stdin: self.interactive, stdout: true, stderr: true };
        }
        let named = |name| self.attach.contains(&name);
        Attach {
            stdin: self.interactive && named(StreamName::Stdin),
            stdout: named(StreamName::Stdout),
            stderr: named(StreamName::Stderr),
        }
    }

    /// The request they make. Files that flags name are read here. `stays`: whether a command waits for the container.
    pub(crate) fn request(&self, stays: bool, settings: &Settings) -> Result<Request, Failure> {
        if self.rm && self.restart != Restart::No {
            return Err(Failure::run("conflicting options: cannot specify both --restart and --rm"));
        }
        let (image, command) =
            self.image_and_command.split_first().ok_or_else(|| Failure::run("no image"))?;
        let mut security = Security::default();
        for option in &self.security_opt {
            security::option(&mut security, option).map_err(Failure::run)?;
        }
        let oom_score_adj = self.oom_score_adj.map(oom_score_adj).transpose()?;
        Ok(Request {
            image: image.clone(),
            name: self.name.clone(),
            isolation: Isolation::choose(self.isolation.as_deref(), settings.isolation.value)
                .map_err(Failure::run)?,
            auto_remove: self.rm,
            process: Process {
                entrypoint: self.entrypoint.clone(),
                command: command.to_vec(),
                env: self.environment()?,
                working_dir: self.workdir.clone(),
                user: self.user.clone(),
                groups: self.group_add.clone(),
                tty: self.tty,
                open_stdin: self.interactive,
                stdin_once: self.interactive && stays,
                stop_signal: self.stop_signal,
                stop_timeout: self.stop_timeout,
                ulimits: self.ulimit.clone(),
                oom_score_adj,
            },
            limits: self.limits()?,
            privileges: Privileges {
                privileged: self.privileged,
                cap_add: self.cap_add.clone(),
                cap_drop: self.cap_drop.clone(),
                security,
            },
            labels: self.labels()?,
            hostname: self.hostname.clone(),
            domainname: self.domainname.clone(),
            network: self.network()?,
            mounts: self.mounts()?,
            devices: self.device.clone(),
            read_only: self.read_only,
            init: self.init,
            shm_size: self.shm_size,
            sysctls: self.sysctl.iter().cloned().collect(),
            restart: self.restart,
            health: self.health.wish()?,
            log: self.log(settings),
            timeout: self.timeout,
            annotations: self.annotation.iter().cloned().collect(),
            vm: Vm { kernel: self.kernel.clone(), boot_log: self.boot_log },
        })
    }

    /// Options that are set belong to the driver that is set: another one would not know them.
    fn log(&self, settings: &Settings) -> Log {
        let driver = self.log_driver.as_ref().unwrap_or(&settings.log_driver.value).clone();
        let set = driver == settings.log_driver.value;
        let mut options = if set { settings.log_opts.value.clone() } else { BTreeMap::new() };
        options.extend(self.log_opt.iter().cloned());
        Log { driver: Some(driver), options }
    }

    fn limits(&self) -> Result<Limits, Failure> {
        let cpu_shares = self.cpu_shares.map(|shares| value::cpu_shares(shares).map_err(Failure::run));
        Ok(Limits {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            nano_cpus: self.cpus,
            cpu_shares: cpu_shares.transpose()?,
            cpuset_cpus: self.cpuset_cpus.clone().filter(|s| !s.is_empty()),
            cpuset_mems: self.cpuset_mems.clone().filter(|s| !s.is_empty()),
            pids: self.pids_limit,
        })
    }

    /// Files first, then `-e`, so that `-e` wins.
    fn environment(&self) -> Result<Vec<String>, Failure> {
        let lookup = |key: &str| std::env::var(key).ok();
        let mut variables = Vec::new();
        for path in &self.env_file {
            variables.extend(environment::file(path, lookup).map_err(Failure::run)?);
        }
        for text in &self.env {
            variables.push(environment::variable(text, lookup).map_err(|why| {
                Failure::run(format!("invalid argument {text:?} for \"-e, --env\" flag: {why}"))
            })?);
        }
        Ok(variables)
    }

    fn labels(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut labels = BTreeMap::new();
        for path in &self.label_file {
            for line in environment::file(path, |_| Some(String::new())).map_err(Failure::run)? {
                labels.extend(environment::label(&line));
            }
        }
        labels.extend(self.label.iter().cloned());
        Ok(labels)
    }

    fn network(&self) -> Result<Network, Failure> {
        self.network.as_deref().unwrap_or_default().parse().map_err(Failure::run)
    }

    fn mounts(&self) -> Result<Vec<Mount>, Failure> {
        let cwd = std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned());
        let mut mounts = Vec::new();
        for text in &self.volume {
            mounts.push(volume::parse(text, &cwd).map_err(Failure::run)?);
        }
        mounts.extend(self.mount.iter().cloned());
        mounts.extend(self.tmpfs.iter().cloned());
        Ok(mounts)
    }
}

fn oom_score_adj(value: i64) -> Result<i32, Failure> {
    i32::try_from(value).ok().filter(|v| (-1000..=1000).contains(v)).ok_or_else(|| {
        Failure::run(format!("Invalid value {value}, range for oom score adj is [-1000, 1000]"))
    })
}
