//! Resource limits and the OOM score of a process that waits to exec, set by its parent: in a user namespace
//! the process itself could not raise anything.
//!
//! The rule for a parent without CAP_SYS_RESOURCE: what is above the inherited hard limit is cut to it; an OOM score below
//! the inherited one is an error when it is negative (it was asked for by somebody), and left out when not.

use oci_spec::runtime::{PosixRlimit, PosixRlimitType as Type};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::error::{Context, Error};
use crate::plan::process::ProcessPlan;

/// Applies `process.rlimits` and `process.oomScoreAdj`.
pub(crate) fn apply(pid: Pid, plan: &ProcessPlan) -> Result<(), Error> {
    if let Some(score) = plan.oom_score_adj {
        set_oom_score(pid, score)?;
    }
    plan.spec.rlimits().iter().flatten().try_for_each(|limit| set(pid, limit))
}

fn set(pid: Pid, limit: &PosixRlimit) -> Result<(), Error> {
    let resource = resource(limit.typ());
    // RLIM_INFINITY.
    let bound = |value: u64| (value != u64::MAX).then_some(value);
    let wanted = Rlimit { current: bound(limit.soft()), maximum: bound(limit.hard()) };
    let doing = || format!("set {} to {}:{}", limit.typ(), limit.soft(), limit.hard());
    match prlimit(Some(pid), resource, wanted) {
        Err(Errno::PERM) => {
            let inherited = rustix::process::getrlimit(resource).maximum;
            let maximum = least(bound(limit.hard()), inherited);
            let cut = Rlimit { current: least(bound(limit.soft()), maximum), maximum };
            prlimit(Some(pid), resource, cut).context(doing).map(drop)
        }
        result => result.context(doing).map(drop),
    }
}

/// The smaller of two bounds, `None` being no bound.
fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (bound, None) | (None, bound) => bound,
    }
}

fn set_oom_score(pid: Pid, score: i32) -> Result<(), Error> {
    let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    match std::fs::write(&path, score.to_string()) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) && score >= 0 => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => Err(Error::Unavailable {
            feature: format!("process.oomScoreAdj {score}"),
            reason: "lowering it needs CAP_SYS_RESOURCE".to_owned(),
        }),
        result => result.context(|| format!("write {score} to {path}")),
    }
}

fn resource(kind: Type) -> Resource {
    match kind {
        Type::RlimitCpu => Resource::Cpu,
        Type::RlimitFsize => Resource::Fsize,
        Type::RlimitData => Resource::Data,
        Type::RlimitStack => Resource::Stack,
        Type::RlimitCore => Resource::Core,
        Type::RlimitRss => Resource::Rss,
        Type::RlimitNproc => Resource::Nproc,
        Type::RlimitNofile => Resource::Nofile,
        Type::RlimitMemlock => Resource::Memlock,
        Type::RlimitAs => Resource::As,
        Type::RlimitLocks => Resource::Locks,
        Type::RlimitSigpending => Resource::Sigpending,
        Type::RlimitMsgqueue => Resource::Msgqueue,
        Type::RlimitNice => Resource::Nice,
        Type::RlimitRtprio => Resource::Rtprio,
        Type::RlimitRttime => Resource::Rttime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bound_is_more_than_any() {
        for (a, b, expected) in [
            (None, None, None),
            (Some(1), None, Some(1)),
            (None, Some(2), Some(2)),
            (Some(3), Some(2), Some(2)),
        ] {
            assert_eq!(least(a, b), expected);
        }
    }
}
