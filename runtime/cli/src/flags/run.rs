//! The flags of `sandbox create` and `sandbox run`, and how they become a request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sandbox_engine::parse::block_io::{Throttle, Weight};
use sandbox_engine::parse::namespace::{self, Namespaces};
use sandbox_engine::parse::volumes_from::VolumesFrom;
use sandbox_engine::parse::{
    device::Device, environment, mount::Mount, security, security::Security, ulimit::Ulimit, volume,
};
use sandbox_engine::request::{BlockIo, Limits, Log, Network, Privileges, Process, Request, Vm};
use sandbox_engine::{Isolation, Settings};
use sandbox_image::Platform;
use sandbox_shim::plan::Restart;
use sandbox_shim::wire::Attach;

use super::health::HealthFlags;
use super::refused::RefusedFlags;
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
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
    #[arg(long, value_name = "uint16", value_parser = value::weight)]
    pub(crate) blkio_weight: Option<u16>,
    /// Block IO weight (relative device weight) (default [])
    #[arg(long, value_name = "list", value_parser = value::device_weight)]
    pub(crate) blkio_weight_device: Vec<Weight>,
    /// Show the guest kernel's console on STDERR (--isolation=vm)
    #[arg(long, alias = "serial", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) boot_log: bool,
    /// Add Linux capabilities
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) cap_drop: Vec<String>,
    /// Optional parent cgroup for the container
    #[arg(long, value_name = "string")]
    pub(crate) cgroup_parent: Option<String>,
    /// Cgroup namespace to use: "host" or "private"
    #[arg(long, value_name = "string")]
    pub(crate) cgroupns: Option<String>,
    /// Write the container ID to the file
    #[arg(long, value_name = "string")]
    pub(crate) cidfile: Option<PathBuf>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) cpu_quota: Option<i64>,
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
    /// Add a host device to the container (--isolation=vm: one of the guest's kernel)
    #[arg(long, value_name = "list", value_parser = value::device)]
    pub(crate) device: Vec<Device>,
    /// Add a rule to the cgroup allowed devices list
    #[arg(long, value_name = "list", value_parser = value::device_rule)]
    pub(crate) device_cgroup_rule: Vec<String>,
    /// Limit read rate (bytes per second) from a device (default [])
    #[arg(long, value_name = "list", value_parser = value::byte_rate)]
    pub(crate) device_read_bps: Vec<Throttle>,
    /// Limit read rate (IO per second) from a device (default [])
    #[arg(long, value_name = "list", value_parser = value::operation_rate)]
    pub(crate) device_read_iops: Vec<Throttle>,
    /// Limit write rate (bytes per second) to a device (default [])
    #[arg(long, value_name = "list", value_parser = value::byte_rate)]
    pub(crate) device_write_bps: Vec<Throttle>,
    /// Limit write rate (IO per second) to a device (default [])
    #[arg(long, value_name = "list", value_parser = value::operation_rate)]
    pub(crate) device_write_iops: Vec<Throttle>,
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
    /// Expose a port or a range of ports
    #[arg(long, value_name = "list", value_parser = value::expose)]
    pub(crate) expose: Vec<value::Ports>,
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
    /// IPC mode to use: "private", "shareable", "none", "host" or "container:NAME"
    #[arg(long, value_name = "string")]
    pub(crate) ipc: Option<String>,
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
    /// Logging driver for the container
    #[arg(long, value_name = "string")]
    pub(crate) log_driver: Option<String>,
    /// Log driver options
    #[arg(long, value_name = "list", value_parser = value::log_option)]
    pub(crate) log_opt: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) refused: RefusedFlags,
    /// Memory limit
    #[arg(short, long, value_name = "bytes", value_parser = value::bytes, allow_negative_numbers = true)]
    pub(crate) memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes", value_parser = value::bytes, allow_negative_numbers = true)]
    pub(crate) memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "bytes", value_parser = value::swap, allow_negative_numbers = true)]
    pub(crate) memory_swap: Option<i64>,
    /// Tune container memory swappiness (0 to 100)
    #[arg(long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) memory_swappiness: Option<i64>,
    /// Attach a filesystem mount to the container
    #[arg(long, value_name = "mount", value_parser = value::mount)]
    pub(crate) mount: Vec<Mount>,
    /// Assign a name to the container
    #[arg(long, value_name = "string")]
    pub(crate) name: Option<String>,
    /// Connect a container to a network: "default", "none" or "host"
    #[arg(long, alias = "net", value_name = "network")]
    pub(crate) network: Option<String>,
    /// Disable OOM Killer
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, value_name = "int", value_parser = value::integer, allow_negative_numbers = true)]
    pub(crate) oom_score_adj: Option<i64>,
    /// PID namespace to use: "private", "host" or "container:NAME"
    #[arg(long, value_name = "string")]
    pub(crate) pid: Option<String>,
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
    /// Remove another container of the same name first
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) replace: bool,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "string", default_value = "no", value_parser = value::restart)]
    pub(crate) restart: Restart,
    /// Automatically remove the container and its associated anonymous volumes when it exits
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = value::boolean, hide_default_value = true, hide_possible_values = true)]
    pub(crate) rm: bool,
    /// Runtime to use for this container: "sandbox", or with its isolation "sandbox-process" or "sandbox-vm"
    #[arg(long, value_name = "string")]
    pub(crate) runtime: Option<String>,
    /// Security Options
    #[arg(long, value_name = "list")]
    pub(crate) security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "bytes", value_parser = value::bytes)]
    pub(crate) shm_size: Option<i64>,
    /// Signal to stop the container
    #[arg(long, value_name = "string", value_parser = value::stop_signal)]
    pub(crate) stop_signal: Option<i32>,
    /// Timeout (in seconds) to stop a container, -1 to wait for ever
    #[arg(long, value_name = "int", allow_negative_numbers = true)]
    pub(crate) stop_timeout: Option<i32>,
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
    /// User namespace to use: "host"
    #[arg(long, value_name = "string")]
    pub(crate) userns: Option<String>,
    /// UTS namespace to use: "private" or "host"
    #[arg(long, value_name = "string")]
    pub(crate) uts: Option<String>,
    /// Bind mount a volume
    #[arg(short, long, value_name = "list")]
    pub(crate) volume: Vec<String>,
    /// Optional volume driver for the container: "local"
    #[arg(long, value_name = "string")]
    pub(crate) volume_driver: Option<String>,
    /// Mount volumes from the specified container(s)
    #[arg(long, value_name = "list")]
    pub(crate) volumes_from: Vec<String>,
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
        self.refused.check()?;
        self.check_names()?;
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
            isolation: self.isolation(settings)?,
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
            namespaces: self.namespaces()?,
            exposed: self.expose.iter().flat_map(|ports| ports.0.clone()).collect(),
            mounts: self.mounts()?,
            volumes_from: self.volumes_from()?,
            devices: self.device.clone(),
            device_rules: self.device_cgroup_rule.clone(),
            read_only: self.read_only,
            init: self.init,
            cgroup_parent: self.cgroup_parent.clone().filter(|parent| !parent.is_empty()),
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
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_shares: cpu_shares.transpose()?,
            cpuset_cpus: self.cpuset_cpus.clone().filter(|s| !s.is_empty()),
            cpuset_mems: self.cpuset_mems.clone().filter(|s| !s.is_empty()),
            pids: self.pids_limit,
            block_io: BlockIo {
                weight: self.blkio_weight,
                weights: self.blkio_weight_device.clone(),
                read_bps: self.device_read_bps.clone(),
                write_bps: self.device_write_bps.clone(),
                read_iops: self.device_read_iops.clone(),
                write_iops: self.device_write_iops.clone(),
            },
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

    fn namespaces(&self) -> Result<Namespaces, Failure> {
        let text = |flag: &Option<String>| flag.clone().unwrap_or_default();
        namespace::user(&text(&self.userns)).map_err(Failure::run)?;
        Ok(Namespaces {
            pid: namespace::pid(&text(&self.pid)).map_err(Failure::run)?,
            ipc: namespace::ipc(&text(&self.ipc)).map_err(Failure::run)?,
            uts: namespace::uts(&text(&self.uts)).map_err(Failure::run)?,
            cgroup: namespace::cgroup(&text(&self.cgroupns)).map_err(Failure::run)?,
        })
    }

    /// `--isolation`, or the one that a runtime's name says.
    fn isolation(&self, settings: &Settings) -> Result<Isolation, Failure> {
        let chosen =
            Isolation::choose(self.isolation.as_deref(), settings.isolation.value).map_err(Failure::run)?;
        let named = match self.runtime.as_deref() {
            None | Some("" | "sandbox") => return Ok(chosen),
            Some("sandbox-process") => Isolation::Process,
            Some("sandbox-vm") => Isolation::Vm,
            Some(other) => {
                return Err(Failure::run(format!(
                    "unknown or invalid runtime name: {other}; there are sandbox, sandbox-process and sandbox-vm"
                )));
            }
        };
        if self.isolation.is_some() && named != chosen {
            return Err(Failure::run(format!(
                "conflicting options: --runtime sandbox-{named} and --isolation={chosen}"
            )));
        }
        Ok(named)
    }

    fn volumes_from(&self) -> Result<Vec<VolumesFrom>, Failure> {
        let parse = sandbox_engine::parse::volumes_from::parse;
        self.volumes_from.iter().map(|text| parse(text).map_err(Failure::run)).collect()
    }

    /// Names of things of which there is one.
    fn check_names(&self) -> Result<(), Failure> {
        if let Some(driver) = self.volume_driver.as_deref().filter(|driver| !matches!(*driver, "" | "local"))
        {
            return Err(Failure::run(format!(
                "error looking up volume plugin {driver}: plugin \"{driver}\" not found"
            )));
        }
        if let Some(value) = self.memory_swappiness.filter(|value| !(-1..=100).contains(value)) {
            return Err(Failure::run(format!(
                "Invalid value: {value}, valid memory swappiness range is 0-100"
            )));
        }
        if self.replace && self.name.is_none() {
            return Err(Failure::run("cannot replace container without --name being set"));
        }
        Ok(())
    }

    /// What is accepted and does nothing, in Docker's words: cgroup v2 has nothing like it.
    pub(crate) fn warnings(&self) -> Vec<&'static str> {
        let swappiness = self.memory_swappiness.is_some_and(|value| value >= 0).then_some(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory \
             swappiness discarded.",
        );
        let oom = self
            .oom_kill_disable
            .then_some("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
        swappiness.into_iter().chain(oom).collect()
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
