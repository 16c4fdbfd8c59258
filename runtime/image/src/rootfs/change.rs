//! Changes to an image's configuration, in the words of a Dockerfile: `--change 'CMD ["sh"]'`.
//!
//! Taken are the instructions that change nothing but the configuration, as in Docker: CMD, ENTRYPOINT, ENV, EXPOSE,
//! HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR.

use std::str::FromStr;

use super::healthcheck::Healthcheck;
use super::word::{expand, split};
use crate::Error;
use crate::digest::clip;

/// One instruction, checked. Variables in it get their values when it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change(pub(super) Instruction);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    Cmd(Vec<String>),
    Entrypoint(Vec<String>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Expose(Vec<String>),
    User(String),
    Volume(Vec<String>),
    WorkingDir(String),
    StopSignal(String),
    Healthcheck(Healthcheck),
    OnBuild(String),
}

impl FromStr for Change {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |reason| Error::InvalidChange { text: clip(text), reason };
        let trimmed = text.trim();
        let (name, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        parse(&name.to_ascii_uppercase(), rest.trim()).map(Self).map_err(invalid)
    }
}

fn parse(name: &str, rest: &str) -> Result<Instruction, String> {
    let one = |what: &str| {
        if rest.is_empty() { Err(format!("{what} requires exactly one argument")) } else { checked(rest) }
    };
    Ok(match name {
        "CMD" => Instruction::Cmd(shell(rest)),
        "ENTRYPOINT" => Instruction::Entrypoint(shell(rest)),
        "ENV" => Instruction::Env(pairs("ENV", rest)?),
        "LABEL" => Instruction::Label(pairs("LABEL", rest)?),
        "EXPOSE" => Instruction::Expose(list("EXPOSE", &split(rest))?),
        "VOLUME" => {
            let words = json(rest).unwrap_or_else(|| split(rest));
            if words.iter().any(String::is_empty) {
                return Err("VOLUME specified can not be an empty string".to_owned());
            }
            Instruction::Volume(list("VOLUME", &words)?)
        }
        "USER" => Instruction::User(one(name)?),
        "WORKDIR" => Instruction::WorkingDir(one(name)?),
        "STOPSIGNAL" => Instruction::StopSignal(one(name)?),
        "HEALTHCHECK" => Instruction::Healthcheck(Healthcheck::parse(rest)?),
        "ONBUILD" => Instruction::OnBuild(trigger(rest)?),
        _ => return Err(format!("{} is not a valid change command", clip(name))),
    })
}

/// A word that can be expanded.
fn checked(word: &str) -> Result<String, String> {
    expand(word, &|_| None).map_err(str::to_owned)?;
    Ok(word.to_owned())
}

fn list(name: &str, words: &[String]) -> Result<Vec<String>, String> {
    if words.is_empty() {
        return Err(format!("{name} requires at least one argument"));
    }
    words.iter().map(|word| checked(word)).collect()
}

/// `key=value …`, or `key value` for one of them.
fn pairs(name: &str, rest: &str) -> Result<Vec<(String, String)>, String> {
    let words = split(rest);
    let first = words.first().ok_or_else(|| format!("{name} requires at least one argument"))?;
    if !first.contains('=') {
        let (key, value) =
            rest.split_once(char::is_whitespace).ok_or_else(|| format!("{name} must have two arguments"))?;
        return Ok(vec![(checked(key)?, checked(value.trim())?)]);
    }
    let pair = |word: &String| {
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| format!("can't find = in {word:?}. Must be of the form: name=value"))?;
        if key.is_empty() {
            return Err(format!("{name} names can not be blank"));
        }
        Ok((checked(key)?, checked(value)?))
    };
    words.iter().map(pair).collect()
}

fn trigger(rest: &str) -> Result<String, String> {
    let first = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "" => Err("ONBUILD requires at least one argument".to_owned()),
        "ONBUILD" => Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        "FROM" | "MAINTAINER" => Err(format!("{first} isn't allowed as an ONBUILD trigger")),
        _ => Ok(rest.to_owned()),
    }
}

/// The words of a JSON list of texts.
fn json(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// Whether it is for a shell, and the words: one if it is.
pub(super) fn command(rest: &str) -> (bool, Vec<String>) {
    match json(rest) {
        Some(words) => (false, words),
        None => (true, vec![rest.trim().to_owned()]),
    }
}

/// The command as a process has it.
fn shell(rest: &str) -> Vec<String> {
    let (shell, words) = command(rest);
    if !shell {
        return words;
    }
    if words.iter().all(String::is_empty) {
        return Vec::new();
    }
    ["/bin/sh".to_owned(), "-c".to_owned()].into_iter().chain(words).collect()
}
