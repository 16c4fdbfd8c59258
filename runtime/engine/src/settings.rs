//! The settings in force: each from a flag, else the environment, else the configuration file, else built in.
//!
//! Front ends resolve them once per command ([`Settings::resolve`]) and `info` shows each with its [`Origin`]. A setting that
//! makes no sense is refused wherever it comes from, with the place named.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox_shim::log::DEFAULT_DRIVER;
use serde::Deserialize;

use crate::config;
use crate::error::{Error, Result};
use crate::isolation::Isolation;
use crate::parse::size;
use crate::paths::{DEFAULT_ROOT, DEFAULT_RUN_ROOT};

/// RAM of a guest without `-m`, MiB.
const VM_MEMORY_MIB: u64 = 512;
/// A guest with less does not come as far as its agent, MiB.
pub(crate) const LEAST_VM_MEMORY_MIB: u64 = 48;
/// The guest is killed and reported when its agent does not answer by then. A guest needs a tenth of a second, on an
/// emulated machine some seconds.
const BOOT_DEADLINE: Duration = Duration::from_secs(30);

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    File(PathBuf),
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) | Origin::Environment(name) => f.write_str(name),
            Origin::File(path) => path.display().fmt(f),
            Origin::BuiltIn => f.write_str("built-in"),
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Of persistent data.
    pub root: Setting<PathBuf>,
    /// Of running containers.
    pub run_root: Setting<PathBuf>,
    /// Of containers that do not say.
    pub isolation: Setting<Isolation>,
    pub log_driver: Setting<String>,
    pub log_opts: Setting<BTreeMap<String, String>>,
    pub vm: VmSettings,
}

/// What a VM has unless its container says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSettings {
    pub memory_mib: Setting<u64>,
    pub cpus: Setting<u8>,
    /// `None`: the one that was installed with the command.
    pub kernel: Setting<Option<PathBuf>>,
    pub boot_deadline: Setting<Duration>,
}

impl Default for VmSettings {
    fn default() -> VmSettings {
        fn built_in<T>(value: T) -> Setting<T> {
            Setting { value, origin: Origin::BuiltIn }
        }
        VmSettings {
            memory_mib: built_in(VM_MEMORY_MIB),
            cpus: built_in(1),
            kernel: built_in(None),
            boot_deadline: built_in(BOOT_DEADLINE),
        }
    }
}

/// The flags that are settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags<'a> {
    pub root: Option<&'a Path>,
    pub run_root: Option<&'a Path>,
}

/// The section `[engine]` of the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EngineSection {
    root: Option<PathBuf>,
    #[serde(alias = "run_root")]
    run_root: Option<PathBuf>,
    isolation: Option<Isolation>,
    #[serde(alias = "log_driver")]
    log_driver: Option<String>,
    #[serde(alias = "log_opts")]
    log_opts: Option<BTreeMap<String, String>>,
}

/// The section `[vm]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct VmSection {
    memory: Option<Memory>,
    cpus: Option<Cpus>,
    kernel: Option<PathBuf>,
    #[serde(alias = "boot_deadline")]
    boot_deadline: Option<Deadline>,
}

/// MiB of a size as `-m` takes it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Memory(u64);

impl TryFrom<String> for Memory {
    type Error = String;

    fn try_from(text: String) -> Result<Memory, String> {
        let bytes = u64::try_from(size::bytes(&text)?).map_err(|_| format!("invalid size: '{text}'"))?;
        Ok(Memory(bytes.div_ceil(1 << 20).max(LEAST_VM_MEMORY_MIB)))
    }
}

/// How many CPUs a VM may have is a byte in its plan.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Cpus(u8);

impl TryFrom<i64> for Cpus {
    type Error = String;

    fn try_from(count: i64) -> Result<Cpus, String> {
        let count = u8::try_from(count).ok().filter(|count| *count > 0);
        count.map(Cpus).ok_or_else(|| format!("a VM has 1 to {} CPUs", u8::MAX))
    }
}

/// In seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Deadline(Duration);

impl TryFrom<f64> for Deadline {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Deadline, String> {
        if (0.001..=86_400.0).contains(&seconds) {
            return Ok(Deadline(Duration::from_secs_f64(seconds)));
        }
        Err("a time is between 0.001 seconds and a day".to_owned())
    }
}

impl Settings {
    /// Those of a command with these flags, this configuration file and our environment. A file that is not there costs
    /// the look.
    pub fn resolve(config: &Path, flags: Flags<'_>) -> Result<Settings> {
        Settings::with(config, flags, |name| std::env::var_os(name))
    }

    fn with(
        config: &Path,
        flags: Flags<'_>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Settings> {
        let (engine, vm) = config::sections(config)?;
        let sources = Sources { config, environment: &environment };
        let path = |flag: Option<&Path>, name, variable, file: Option<PathBuf>, built_in: &str| {
            let flag = flag.map(|path| (name, path.to_owned()));
            sources.choose(flag, (variable, |text| Ok(text.into())), file, PathBuf::from(built_in))
        };
        let driver = sources.choose(
            None,
            ("SANDBOX_LOG_DRIVER", |text| utf8(&text)),
            engine.log_driver,
            DEFAULT_DRIVER.to_owned(),
        )?;
        let log_opts = sources.file_or(engine.log_opts, BTreeMap::new());
        sandbox_shim::log::validate(&driver.value, &log_opts.value)
            .map_err(|why| Error::invalid(format!("{}: {why}", driver.origin)))?;
        let defaults = VmSettings::default();
        Ok(Settings {
            root: path(flags.root, "--root", "SANDBOX_ROOT", engine.root, DEFAULT_ROOT)?,
            run_root: path(
                flags.run_root,
                "--run-root",
                "SANDBOX_RUN_ROOT",
                engine.run_root,
                DEFAULT_RUN_ROOT,
            )?,
            isolation: sources.choose(
                None,
                ("SANDBOX_ISOLATION", |text| utf8(&text)?.parse()),
                engine.isolation,
                Isolation::default(),
            )?,
            log_driver: driver,
            log_opts,
            vm: VmSettings {
                memory_mib: sources.choose(
                    None,
                    ("SANDBOX_VM_MEMORY", |text| Memory::try_from(utf8(&text)?).map(|memory| memory.0)),
                    vm.memory.map(|memory| memory.0),
                    defaults.memory_mib.value,
                )?,
                cpus: sources.choose(
                    None,
                    ("SANDBOX_VM_CPUS", |text| Cpus::try_from(number(&text)?).map(|cpus| cpus.0)),
                    vm.cpus.map(|cpus| cpus.0),
                    defaults.cpus.value,
                )?,
                kernel: sources.choose(
                    None,
                    ("SANDBOX_VM_KERNEL", |text| Ok(Some(text.into()))),
                    vm.kernel.map(Some),
                    None,
                )?,
                boot_deadline: sources.choose(
                    None,
                    ("SANDBOX_VM_BOOT_DEADLINE_MS", |text| {
                        let ms = u64::try_from(number(&text)?).unwrap_or(0);
                        Deadline::try_from(Duration::from_millis(ms).as_secs_f64()).map(|deadline| deadline.0)
                    }),
                    vm.boot_deadline.map(|deadline| deadline.0),
                    defaults.boot_deadline.value,
                )?,
            },
        })
    }
}

/// Everything that is asked before the built-in value.
struct Sources<'a> {
    config: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<OsString>,
}

/// A variable and how its text is read.
type Variable<T> = (&'static str, fn(OsString) -> Result<T, String>);

impl Sources<'_> {
    fn choose<T>(
        &self,
        flag: Option<(&'static str, T)>,
        (variable, read): Variable<T>,
        file: Option<T>,
        built_in: T,
    ) -> Result<Setting<T>> {
        if let Some((name, value)) = flag {
            return Ok(Setting { value, origin: Origin::Flag(name) });
        }
        if let Some(text) = (self.environment)(variable).filter(|text| !text.is_empty()) {
            let value = read(text).map_err(|why| Error::invalid(format!("{variable}: {why}")))?;
            return Ok(Setting { value, origin: Origin::Environment(variable) });
        }
        Ok(self.file_or(file, built_in))
    }

    fn file_or<T>(&self, file: Option<T>, built_in: T) -> Setting<T> {
        match file {
            Some(value) => Setting { value, origin: Origin::File(self.config.to_owned()) },
            None => Setting { value: built_in, origin: Origin::BuiltIn },
        }
    }
}

fn utf8(text: &OsString) -> Result<String, String> {
    text.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not UTF-8", text.display()))
}

fn number(text: &OsString) -> Result<i64, String> {
    let text = utf8(text)?;
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(file: &str, flags: Flags<'_>, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, file).unwrap();
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Settings::with(&path, flags, variable).map_err(|e| e.to_string())
    }

    const FILE: &str = r#"
        [engine]
        root = "/file"
        run-root = "/file/run"
        isolation = "vm"
        log-driver = "local"
        log-opts = { max-size = "10m" }
        [vm]
        memory = "1g"
        cpus = 2
        kernel = "/file/vmlinux"
        boot-deadline = 2.5
        [registries]
        retries = 2
    "#;

    #[test]
    fn the_nearest_wins() {
        let built_in = resolve("", Flags::default(), &[]).unwrap();
        assert_eq!(built_in.root.value, Path::new(DEFAULT_ROOT));
        assert_eq!(built_in.isolation, Setting { value: Isolation::Process, origin: Origin::BuiltIn });
        assert_eq!(built_in.vm, VmSettings::default());

        let file = resolve(FILE, Flags::default(), &[("SANDBOX_ROOT", "")]).unwrap();
        assert_eq!((file.root.value.as_path(), file.isolation.value), (Path::new("/file"), Isolation::Vm));
        assert!(matches!(&file.root.origin, Origin::File(path) if path.ends_with("config.toml")));
        assert_eq!(
            (file.log_driver.value.as_str(), file.log_opts.value["max-size"].as_str()),
            ("local", "10m")
        );
        assert_eq!((file.vm.memory_mib.value, file.vm.cpus.value), (1024, 2));
        assert_eq!(file.vm.kernel.value.as_deref(), Some(Path::new("/file/vmlinux")));
        assert_eq!(file.vm.boot_deadline.value, Duration::from_millis(2500));

        let variables = [
            ("SANDBOX_ROOT", "/env"),
            ("SANDBOX_ISOLATION", "process"),
            ("SANDBOX_VM_MEMORY", "64m"),
            ("SANDBOX_VM_BOOT_DEADLINE_MS", "300000"),
        ];
        let environment = resolve(FILE, Flags::default(), &variables).unwrap();
        assert_eq!(environment.root.origin, Origin::Environment("SANDBOX_ROOT"));
        assert_eq!((environment.isolation.value, environment.vm.memory_mib.value), (Isolation::Process, 64));
        assert_eq!(environment.vm.boot_deadline.value, Duration::from_mins(5));

        let flags = Flags { root: Some(Path::new("/flag")), run_root: None };
        let flag = resolve(FILE, flags, &variables).unwrap();
        assert_eq!(
            (flag.root.value.as_path(), flag.root.origin.to_string()),
            (Path::new("/flag"), "--root".into())
        );
        assert_eq!(flag.run_root.value, Path::new("/file/run"));
    }

    #[test]
    fn underscores_join_the_words_of_a_key_as_well() {
        let file = "[engine]\nlog_driver = \"none\"\n[vm]\nboot_deadline = 1\n";
        let settings = resolve(file, Flags::default(), &[]).unwrap();
        assert_eq!(
            (settings.log_driver.value.as_str(), settings.vm.boot_deadline.value.as_secs()),
            ("none", 1)
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (file, parts) in [
            ("[engine]\nrot = \"/x\"\n", ["line 2, column 1", "rot"]),
            ("[engine]\nisolation = \"hyperv\"\n", ["line 2, column 13", "invalid isolation 'hyperv'"]),
            ("[engine]\nlog-driver = \"splunk\"\n", ["config.toml", "no log driver named 'splunk'"]),
            ("[vm]\nmemory = \"much\"\n", ["line 2, column 10", "invalid size: 'much'"]),
            ("[vm]\ncpus = 0\n", ["line 2, column 8", "1 to 255 CPUs"]),
            ("[vm]\nboot-deadline = 0\n", ["line 2", "between 0.001 seconds and a day"]),
            ("[network]\n", ["line 1", "network"]),
        ] {
            let error = resolve(file, Flags::default(), &[]).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{file}: {error}");
        }
        for (variable, value, text) in [
            ("SANDBOX_ISOLATION", "x", "SANDBOX_ISOLATION: invalid isolation 'x' on linux"),
            ("SANDBOX_VM_CPUS", "many", "SANDBOX_VM_CPUS: \"many\" is not a number"),
            ("SANDBOX_VM_MEMORY", "x", "SANDBOX_VM_MEMORY: invalid size: 'x'"),
        ] {
            assert_eq!(resolve("", Flags::default(), &[(variable, value)]).unwrap_err(), text);
        }
    }
}
