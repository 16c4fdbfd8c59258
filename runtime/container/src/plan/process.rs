//! The process of the spec: checked and turned into what system calls take.

use std::ffi::CString;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxPersonality, LinuxPersonalityDomain, Process};

use crate::error::Error;
use crate::init::capabilities::CapabilitySets;
use crate::seccomp::Filter;

/// Where execvp looks without PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of `linux/personality.h`.
const PER_LINUX32: u32 = 0x0008;

/// Everything about the process that is to be executed.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<CString>,
    /// `args[0]` as the user wrote it, for messages.
    pub(crate) command: String,
    pub(crate) env: Vec<CString>,
    pub(crate) path: String,
    pub(crate) needs_home: bool,
    pub(crate) cwd: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) umask: u32,
    pub(crate) capabilities: CapabilitySets,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Option<Filter>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) apparmor: Option<String>,
    pub(crate) selinux: Option<String>,
    pub(crate) personality: Option<u32>,
    /// Device and inode of the program that we are.
    pub(crate) own_program: Option<(u64, u64)>,
    /// The spec's own process, for what only the last steps read (rlimits, scheduler, I/O priority).
    pub(crate) spec: Process,
}

impl ProcessPlan {
    pub(crate) fn new(
        process: &Process,
        seccomp: Option<Filter>,
        personality: Option<&LinuxPersonality>,
    ) -> Result<Self, Error> {
        let args = process.args().as_deref().unwrap_or_default();
        let command =
            args.first().ok_or_else(|| Error::spec("process.args is empty: there is nothing to run"))?;
        let env = process.env().as_deref().unwrap_or_default();
        if let Some(wrong) = env.iter().find(|entry| !entry.contains('=') || entry.starts_with('=')) {
            return Err(Error::spec(format!("process.env: \"{wrong}\" is not NAME=value")));
        }
        // Of a name that is there twice the last one counts, as in a shell.
        let value =
            |name: &str| env.iter().rev().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        let cwd = process.cwd();
        if !cwd.is_absolute() {
            return Err(Error::spec(format!("process.cwd \"{}\" is not absolute", cwd.display())));
        }
        let label = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let user = process.user();
        Ok(ProcessPlan {
            args: strings("process.args", args)?,
            command: command.clone(),
            env: strings("process.env", env)?,
            path: value("PATH").unwrap_or(DEFAULT_PATH).to_owned(),
            needs_home: value("HOME").is_none_or(str::is_empty),
            cwd: cwd.clone(),
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask().unwrap_or(0o022) & 0o777,
            capabilities: CapabilitySets::new(process.capabilities().as_ref()),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            seccomp,
            oom_score_adj: oom_score_adj(process)?,
            apparmor: label(process.apparmor_profile()).filter(|profile| profile != "unconfined"),
            selinux: label(process.selinux_label()),
            personality: personality.map(domain).transpose()?,
            own_program: rustix::fs::stat("/proc/self/exe").ok().map(|stat| (stat.st_dev, stat.st_ino)),
            spec: process.clone(),
        })
    }
}

fn strings(what: &str, list: &[String]) -> Result<Vec<CString>, Error> {
    list.iter()
        .map(|text| {
            CString::new(text.as_str()).map_err(|_| Error::spec(format!("{what}: {text:?} contains NUL")))
        })
        .collect()
}

fn oom_score_adj(process: &Process) -> Result<Option<i32>, Error> {
    match process.oom_score_adj() {
        Some(value) if !(-1000..=1000).contains(&value) => {
            Err(Error::spec(format!("process.oomScoreAdj {value} is not in -1000..1000")))
        }
        value => Ok(value),
    }
}

fn domain(personality: &LinuxPersonality) -> Result<u32, Error> {
    if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(Error::spec("linux.personality.flags: no flags are defined"));
    }
    Ok(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => PER_LINUX32,
    })
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::ProcessBuilder;

    use super::*;

    fn plan(args: &[&str], env: &[&str], cwd: &str) -> Result<ProcessPlan, Error> {
        let own = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        let process =
            ProcessBuilder::default().args(own(args)).env(own(env)).cwd(cwd).build().expect("a process");
        ProcessPlan::new(&process, None, None)
    }

    #[test]
    fn nonsense_is_refused() {
        for (args, env, cwd, words) in [
            (&[][..], &[][..], "/", "nothing to run"),
            (&["a\0b"], &[], "/", "NUL"),
            (&["a"], &["novalue"], "/", "NAME=value"),
            (&["a"], &["A=b"], "relative", "not absolute"),
        ] {
            let error = plan(args, env, cwd).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let process = plan(&["sh"], &["PATH=/a", "HOME=", "PATH=/b"], "/").expect("a plan");
        assert_eq!((process.path.as_str(), process.needs_home), ("/b", true));
        assert_eq!(plan(&["sh"], &[], "/").expect("a plan").path, DEFAULT_PATH);
    }
}
