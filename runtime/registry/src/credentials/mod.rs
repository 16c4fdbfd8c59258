//! Credentials where Docker keeps them: `config.json` in `$DOCKER_CONFIG` or `~/.docker`, and the credential helpers that
//! it names (`credHelpers` for one registry, `credsStore` for all).
//!
//! Who logged in with Docker is logged in here, and the other way round.

mod file;
mod helper;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use file::ConfigFile;
use helper::Helpers;

/// What Docker Hub is called in `config.json`.
pub(crate) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// As helpers name whoever an identity token is for.
const TOKEN_USER: &str = "<token>";

/// What proves to a registry who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// To be exchanged for access tokens.
    Identity {
        token: String,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Identity { .. } => "Identity",
        })
    }
}

/// Why credentials could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    #[error("cannot {action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is not what Docker keeps its configuration in: {reason}")]
    Invalid { path: PathBuf, reason: String },
    #[error("cannot use the credential helper docker-credential-{name}: {reason}")]
    Helper { name: String, reason: String },
    #[error("there is no place to keep credentials in: neither DOCKER_CONFIG nor HOME is set")]
    NoPlace,
}

type Result<T> = std::result::Result<T, CredentialsError>;

/// Where credentials went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Into this file, for anybody to read who can read it.
    InFile(PathBuf),
    WithHelper,
}

/// Credentials of one user.
#[derive(Clone, Debug)]
pub struct Credentials {
    directory: Option<PathBuf>,
    helpers: Helpers,
}

impl Credentials {
    /// Of whoever runs this: `$DOCKER_CONFIG`, else `$HOME/.docker`.
    pub fn from_environment() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            directory: set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker"))),
            helpers: Helpers::default(),
        }
    }

    /// In a directory that holds a `config.json`, or will.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()), helpers: Helpers::default() }
    }

    #[cfg(test)]
    pub(crate) fn with_helpers_in(mut self, directory: &Path) -> Self {
        self.helpers = Helpers::in_directory(directory);
        self
    }

    /// For `key`, a registry's name or [`DOCKER_HUB_KEY`].
    pub(crate) fn get(&self, key: &str) -> Result<Option<Credential>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let config = ConfigFile::read(directory)?;
        match helper_of(&config, key) {
            Some(name) => self.helpers.get(name, key),
            None => from_file(&config, key),
        }
    }

    pub(crate) fn keep(&self, key: &str, user: &str, credential: &Credential) -> Result<Kept> {
        let directory = self.directory.as_ref().ok_or(CredentialsError::NoPlace)?;
        let mut config = ConfigFile::open(directory)?;
        let (entry, kept) = if let Some(name) = helper_of(&config, key) {
            match credential {
                Credential::Password { user, password } => self.helpers.store(name, key, user, password)?,
                Credential::Identity { token } => self.helpers.store(name, key, TOKEN_USER, token)?,
            }
            (json!({}), Kept::WithHelper)
        } else {
            let entry = match credential {
                Credential::Password { user, password } => {
                    json!({ "auth": BASE64_STANDARD.encode(format!("{user}:{password}")) })
                }
                Credential::Identity { token } => {
                    json!({ "auth": BASE64_STANDARD.encode(format!("{user}:")), "identitytoken": token })
                }
            };
            (entry, Kept::InFile(config.path().to_owned()))
        };
        let auths = config.members.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if !auths.is_object() {
            *auths = Value::Object(Map::new());
        }
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(key.to_owned(), entry);
        }
        config.write()?;
        Ok(kept)
    }

    /// Forgets what there is for `key`; false if there was nothing.
    pub(crate) fn erase(&self, key: &str) -> Result<bool> {
        let Some(directory) = &self.directory else { return Ok(false) };
        if !ConfigFile::read(directory)?.exists() {
            return Ok(false);
        }
        let mut config = ConfigFile::open(directory)?;
        let mut found = false;
        if let Some(name) = helper_of(&config, key)
            && self.helpers.get(name, key)?.is_some()
        {
            self.helpers.erase(name, key)?;
            found = true;
        }
        if let Some(auths) = config.members.get_mut("auths").and_then(Value::as_object_mut) {
            let before = auths.len();
            auths.retain(|its, _| !same_registry(its, key));
            if auths.len() < before {
                config.write()?;
                found = true;
            }
        }
        Ok(found)
    }
}

fn helper_of<'a>(config: &'a ConfigFile, key: &str) -> Option<&'a str> {
    let name = |value: &'a Value| value.as_str().filter(|name| !name.is_empty());
    let own = config.members.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
        helpers.iter().find(|(its, _)| same_registry(its, key)).and_then(|(_, value)| name(value))
    });
    own.or_else(|| config.members.get("credsStore").and_then(name))
}

fn from_file(config: &ConfigFile, key: &str) -> Result<Option<Credential>> {
    let Some(auths) = config.members.get("auths").and_then(Value::as_object) else { return Ok(None) };
    let entry = auths
        .get(key)
        .or_else(|| auths.iter().find(|(its, _)| same_registry(its, key)).map(|(_, entry)| entry));
    let Some(entry) = entry.and_then(Value::as_object) else { return Ok(None) };
    let text = |name| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::Identity { token: token.to_owned() }));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Credential::Password { user: user.to_owned(), password: password.to_owned() }));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let invalid = || config.invalid(&format!("the credentials for {key} are not base64 of user:password"));
    let decoded = BASE64_STANDARD.decode(auth.trim()).map_err(|_| invalid())?;
    let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
    let (user, password) = decoded.split_once(':').ok_or_else(invalid)?;
    let password = password.trim_end_matches('\0');
    Ok(Some(Credential::Password { user: user.to_owned(), password: password.to_owned() }))
}

/// Old entries are URLs: `https://registry.example/v2/` is `registry.example`.
fn same_registry(one: &str, other: &str) -> bool {
    registry_of(one) == registry_of(other)
}

fn registry_of(key: &str) -> &str {
    let name = key.split_once("://").map_or(key, |(_, rest)| rest);
    match name.split('/').next().unwrap_or_default() {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        name => name,
    }
}

#[cfg(test)]
mod tests;
