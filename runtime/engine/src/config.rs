//! The configuration file: `/etc/sandbox/config.toml`, `--config` or `$SANDBOX_CONFIG`.
//!
//! ```toml
//! [engine]
//! root = "/var/lib/sandbox"
//! run-root = "/run/sandbox"
//! isolation = "process"
//! log-driver = "json-file"
//! log-opts = { max-size = "10m", max-file = "3" }
//!
//! [vm]
//! memory = "512m"
//! cpus = 1
//! kernel = "/usr/lib/sandbox/vmlinux"
//! boot-deadline = 30    # seconds
//!
//! [images]
//! policy = "/etc/sandbox/policy.json"
//!
//! [registries]          # see sandbox_registry::RegistriesConfig
//! ```
//!
//! But for log-opts and the kernel, these are the defaults. `[engine]` and `[vm]` are for [`crate::Settings`]. A section or a
//! key that is not known is an error.

use std::io::Read;
use std::path::{Path, PathBuf};

use sandbox_image::Policy;
use sandbox_registry::{ConfigError, RegistriesConfig};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::settings::{EngineSection, VmSection};

/// Without `--config` and `SANDBOX_CONFIG`.
pub const DEFAULT_CONFIG: &str = sandbox_registry::CONFIG_FILE;
/// Which images are accepted, if the configuration names no other file; everything is if there is none.
const DEFAULT_POLICY: &str = "/etc/sandbox/policy.json";
/// Bytes of either file.
const LARGEST: u64 = 1 << 20;

/// What the file says.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub registries: RegistriesConfig,
    /// The file of the policy, if one is named.
    pub policy: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sections {
    /// Read by [`RegistriesConfig`].
    #[serde(rename = "registries")]
    _registries: toml::Table,
    images: Images,
    engine: EngineSection,
    vm: VmSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Images {
    policy: Option<PathBuf>,
}

impl Config {
    /// Reads the file. Only the default one may be missing.
    pub fn load(path: &Path) -> Result<Config> {
        let Some(sections) = parse(path)? else { return Ok(Config::default()) };
        Ok(Config { registries: RegistriesConfig::load(path)?, policy: sections.images.policy })
    }

    /// Which images are accepted.
    pub fn policy(&self) -> Result<Policy> {
        let (path, optional) = match &self.policy {
            Some(path) => (path.as_path(), false),
            None => (Path::new(DEFAULT_POLICY), true),
        };
        match read(path, optional)? {
            Some(text) => text.parse().map_err(|error| {
                Error::invalid(format!("cannot use the policy {}: {error}", path.display()))
            }),
            None => Ok(Policy::default()),
        }
    }
}

/// The sections of the settings.
pub(crate) fn sections(path: &Path) -> Result<(EngineSection, VmSection)> {
    let Sections { engine, vm, .. } = parse(path)?.unwrap_or_default();
    Ok((engine, vm))
}

/// Only the default file may be missing.
fn parse(path: &Path) -> Result<Option<Sections>> {
    let Some(text) = read(path, path == Path::new(DEFAULT_CONFIG))? else { return Ok(None) };
    toml::from_str(&text)
        .map(Some)
        .map_err(|error| ConfigError::Invalid { path: path.to_owned(), message: error.to_string() }.into())
}

/// A file's text; `None` if it is not there and need not be.
fn read(path: &Path, optional: bool) -> Result<Option<String>> {
    let file = match std::fs::File::open(path) {
        Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::io("open", path))?,
    };
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > LARGEST {
        return Err(Error::invalid(format!("{} is larger than 1 MiB", path.display())));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    #[test]
    fn sections() {
        let config = load("[registries]\ninsecure = [\"a.lan\"]\n[images]\npolicy = \"/p.json\"\n").unwrap();
        assert_eq!(config.registries.insecure.len(), 1);
        assert_eq!(config.policy.as_deref(), Some(Path::new("/p.json")));
        assert!(config.policy().unwrap_err().to_string().contains("/p.json"));
        assert!(load("").unwrap().policy.is_none());
        for wrong in ["[registry]\n", "[images]\npolcy = 1\n", "[registries]\nmiror = 1\n", "["] {
            let error = load(wrong).unwrap_err().to_string();
            assert!(error.contains("config.toml"), "{error}");
        }
    }

    #[test]
    fn a_named_file_must_be_there() {
        let error = Config::load(Path::new("/nonexistent/config.toml")).unwrap_err().to_string();
        assert!(error.starts_with("open /nonexistent/config.toml: "), "{error}");
    }
}
