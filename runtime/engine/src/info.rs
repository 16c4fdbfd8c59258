//! `info`: how many containers and images there are, what the machine is, and what is in force from where.

use std::io::Read;

use serde::Serialize;

use crate::cgroup::Hierarchy;
use crate::engine::Engine;
use crate::error::Result;
use crate::inspect::STORAGE_DRIVER;
use crate::isolation::Isolation;
use crate::settings::{Setting, Settings};

/// os-release(5) is some lines.
const OS_RELEASE_SIZE: u64 = 64 << 10;

/// In the members of Docker's API, and ours.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    pub containers: usize,
    pub containers_running: usize,
    pub containers_paused: usize,
    pub containers_stopped: usize,
    pub images: usize,
    pub driver: &'static str,
    pub logging_driver: String,
    pub cgroup_driver: &'static str,
    pub cgroup_version: &'static str,
    pub kernel_version: String,
    pub operating_system: String,
    #[serde(rename = "OSType")]
    pub os_type: &'static str,
    pub architecture: &'static str,
    #[serde(rename = "NCPU")]
    pub cpus: usize,
    pub mem_total: u64,
    pub docker_root_dir: String,
    pub name: String,
    pub server_version: &'static str,
    pub security_options: Vec<&'static str>,
    pub isolation: Isolation,
    pub configuration: Vec<Configured>,
}

/// A setting that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Configured {
    /// As the configuration file has it.
    pub key: &'static str,
    pub value: String,
    /// A flag, a variable, a file, or `built-in`.
    pub origin: String,
}

impl Engine {
    /// All of it; `settings` are those that the engine was opened with.
    pub fn info(&self, settings: &Settings) -> Result<Info> {
        let views = self.views()?;
        let count = |states: &[&str]| views.iter().filter(|view| states.contains(&view.state())).count();
        let images = self.store()?.list(&self.connection)?;
        let ids: std::collections::HashSet<_> = images.iter().map(|image| &image.id).collect();
        let host = rustix::system::uname();
        let memory = rustix::system::sysinfo();
        let (running, paused) = (count(&["running", "restarting"]), count(&["paused"]));
        Ok(Info {
            containers: views.len(),
            containers_running: running,
            containers_paused: paused,
            containers_stopped: views.len() - running - paused,
            images: ids.len(),
            driver: STORAGE_DRIVER,
            logging_driver: settings.log_driver.value.clone(),
            cgroup_driver: if Hierarchy::find().is_some() { "cgroupfs" } else { "none" },
            cgroup_version: "2",
            kernel_version: host.release().to_string_lossy().into_owned(),
            operating_system: operating_system(),
            os_type: "linux",
            architecture: std::env::consts::ARCH,
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            mem_total: memory.totalram.saturating_mul(u64::from(memory.mem_unit.max(1))),
            docker_root_dir: self.paths.root.display().to_string(),
            name: host.nodename().to_string_lossy().into_owned(),
            server_version: env!("CARGO_PKG_VERSION"),
            security_options: vec!["name=seccomp,profile=builtin", "name=cgroupns"],
            isolation: settings.isolation.value,
            configuration: configuration(settings),
        })
    }
}

fn configuration(settings: &Settings) -> Vec<Configured> {
    fn configured<T>(key: &'static str, setting: &Setting<T>, text: impl Fn(&T) -> String) -> Configured {
        Configured { key, value: text(&setting.value), origin: setting.origin.to_string() }
    }
    let path = |path: &std::path::PathBuf| path.display().to_string();
    let vm = &settings.vm;
    vec![
        configured("engine.root", &settings.root, path),
        configured("engine.run-root", &settings.run_root, path),
        configured("engine.isolation", &settings.isolation, ToString::to_string),
        configured("engine.log-driver", &settings.log_driver, Clone::clone),
        configured("engine.log-opts", &settings.log_opts, |options| {
            let options: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
            if options.is_empty() { "none".to_owned() } else { options.join(",") }
        }),
        configured("vm.memory", &vm.memory_mib, |mib| format!("{mib}m")),
        configured("vm.cpus", &vm.cpus, ToString::to_string),
        configured("vm.kernel", &vm.kernel, |kernel| {
            kernel.as_ref().map_or_else(|| "installed".to_owned(), |kernel| kernel.display().to_string())
        }),
        configured("vm.boot-deadline", &vm.boot_deadline, |deadline| deadline.as_secs_f64().to_string()),
    ]
}

/// The distribution's name for people, without anything that a terminal obeys.
fn operating_system() -> String {
    let read = |path: &str| {
        let mut text = String::new();
        std::fs::File::open(path).ok()?.take(OS_RELEASE_SIZE).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default();
    pretty_name(&text).unwrap_or_else(|| "Linux".to_owned())
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let bare = value.trim().trim_matches(['"', '\'']);
    let name: String = bare.chars().filter(|c| !c.is_control()).collect();
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::{add, engine};
    use crate::recipe::Recipe;
    use crate::settings::Flags;

    #[test]
    fn counts_and_origins() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        add(&engine, "one", 1, &Recipe::default());
        let config = dir.path().join("config.toml");
        std::fs::write(&config, "[vm]\nmemory = \"1g\"\n").unwrap();
        let root = dir.path().join("root");
        let settings = Settings::resolve(&config, Flags { root: Some(&root), run_root: None }).unwrap();
        let info = engine.info(&settings).unwrap();
        assert_eq!((info.containers, info.containers_running, info.containers_stopped), (1, 0, 1));
        let of = |key: &str| info.configuration.iter().find(|setting| setting.key == key).unwrap();
        assert_eq!(
            (of("engine.root").value.as_str(), of("engine.root").origin.as_str()),
            (root.to_str().unwrap(), "--root")
        );
        assert_eq!(
            (of("vm.memory").value.as_str(), of("vm.memory").origin.as_str()),
            ("1024m", config.to_str().unwrap())
        );
        assert_eq!(info.docker_root_dir, root.to_str().unwrap());
    }

    #[test]
    fn names_of_distributions() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"Debian 13\"\n").as_deref(), Some("Debian 13"));
        assert_eq!(pretty_name("PRETTY_NAME='\u{1b}[2Jx'\n").as_deref(), Some("[2Jx"));
        assert_eq!(pretty_name("ID=x\n"), None);
    }
}
