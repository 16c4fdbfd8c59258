//! Changes to an image's configuration, in the words of a Dockerfile: `--change 'CMD ["sh"]'`.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::Error;

/// One instruction. Parsed from its text, which is what `--change` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Empty for `CMD []`.
    Cmd(Vec<String>),
    Entrypoint(Vec<String>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    /// `80/tcp`
    Expose(Vec<String>),
    User(String),
    Volume(Vec<String>),
    WorkingDir(String),
    StopSignal(String),
    Healthcheck(Healthcheck),
    OnBuild(String),
}

/// How a container's health is found out; members that are `None` are left to the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    pub test: Vec<String>,
    /// Nanoseconds, as the three after it.
    pub interval: Option<i64>,
    pub timeout: Option<i64>,
    pub start_period: Option<i64>,
    pub start_interval: Option<i64>,
    pub retries: Option<i64>,
}

impl FromStr for Change {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let _ = text;
        crate::error::in_the_making("change")
    }
}

impl Change {
    /// Applies it to the `config` member of an image config.
    pub fn apply(&self, config: &mut Map<String, Value>) {
        let _ = config;
    }
}
