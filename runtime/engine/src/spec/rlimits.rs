//! Resource limits of the process.

use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType as Type};
use rustix::thread::CapabilitySet;

use crate::error::{Error, Result};
use crate::isolation::Isolation;
use crate::parse::ulimit::Ulimit;

/// Without `--ulimit` a container may open this many files in both isolations, not what our caller happened to have.
const NOFILE: u64 = 1 << 20;

/// The user's, and NOFILE. On the host each is brought down to our own hard limit where we may not raise it.
pub(super) fn build(user: &[Ulimit], isolation: Isolation) -> Result<Vec<PosixRlimit>> {
    let mut wanted: Vec<Ulimit> = vec![Ulimit { kind: Type::RlimitNofile, soft: NOFILE, hard: NOFILE }];
    for limit in user {
        wanted.retain(|other| other.kind != limit.kind);
        wanted.push(*limit);
    }
    let clamp = isolation == Isolation::Process && !may_raise();
    wanted.into_iter().map(|limit| rlimit(limit, clamp.then(|| ceiling(limit.kind)).flatten())).collect()
}

fn rlimit(limit: Ulimit, ceiling: Option<u64>) -> Result<PosixRlimit> {
    let hard = ceiling.map_or(limit.hard, |c| c.min(limit.hard));
    let built = PosixRlimitBuilder::default().typ(limit.kind).soft(limit.soft.min(hard)).hard(hard).build();
    built.map_err(|e| Error::invalid(format!("--ulimit: {e}")))
}

fn may_raise() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|caps| caps.effective.contains(CapabilitySet::SYS_RESOURCE))
}

fn ceiling(kind: Type) -> Option<u64> {
    let resource = match kind {
        Type::RlimitCpu => Resource::RLIMIT_CPU,
        Type::RlimitFsize => Resource::RLIMIT_FSIZE,
        Type::RlimitData => Resource::RLIMIT_DATA,
        Type::RlimitStack => Resource::RLIMIT_STACK,
        Type::RlimitCore => Resource::RLIMIT_CORE,
        Type::RlimitRss => Resource::RLIMIT_RSS,
        Type::RlimitNproc => Resource::RLIMIT_NPROC,
        Type::RlimitNofile => Resource::RLIMIT_NOFILE,
        Type::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        Type::RlimitAs => Resource::RLIMIT_AS,
        Type::RlimitLocks => Resource::RLIMIT_LOCKS,
        Type::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        Type::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        Type::RlimitNice => Resource::RLIMIT_NICE,
        Type::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        Type::RlimitRttime => Resource::RLIMIT_RTTIME,
    };
    getrlimit(resource).ok().map(|(_, hard)| hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamped_to_a_ceiling() {
        let limit = Ulimit { kind: Type::RlimitNofile, soft: 1000, hard: 2000 };
        let plain = rlimit(limit, None).unwrap();
        assert_eq!((plain.soft(), plain.hard()), (1000, 2000));
        let low = rlimit(limit, Some(500)).unwrap();
        assert_eq!((low.soft(), low.hard()), (500, 500));
    }

    #[test]
    fn the_guest_is_not_bound_by_our_limits() {
        let user = [Ulimit { kind: Type::RlimitNofile, soft: 1 << 30, hard: 1 << 30 }];
        let built = build(&user, Isolation::Vm).unwrap();
        assert_eq!((built.len(), built[0].hard()), (1, 1 << 30));
        assert_eq!(build(&[], Isolation::Vm).unwrap()[0].hard(), NOFILE);
    }
}
