//! The system call filter: Docker's default, none, or a profile in Docker's format.

use oci_spec::runtime::{Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSyscall};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::parse::security::Seccomp;
use crate::request::Privileges;

pub(super) fn build(privileges: &Privileges, caps: &[Capability]) -> Result<Option<LinuxSeccomp>> {
    match &privileges.security.seccomp {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default if privileges.privileged => Ok(None),
        Seccomp::Default => Ok(Some(sandbox_container::defaults::seccomp(caps))),
        Seccomp::Profile(text) => profile(text, caps).map(Some),
    }
}

/// Docker's format: the OCI one, with the architectures in a map and with conditions on each rule.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<Arch>>,
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<oci_spec::runtime::LinuxSeccompFilterFlag>>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

fn profile(text: &str, caps: &[Capability]) -> Result<LinuxSeccomp> {
    let parsed: Profile = serde_json::from_str(text)
        .map_err(|e| Error::invalid(format!("decoding seccomp profile failed: {e}")))?;
    if parsed.architectures.is_some() && parsed.arch_map.is_some() {
        return Err(Error::invalid(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either one",
        ));
    }
    let mapped = parsed.arch_map.and_then(|map| {
        let ours = map.into_iter().find(|entry| entry.architecture == Arch::ScmpArchX86_64)?;
        Some([vec![ours.architecture], ours.sub_architectures.unwrap_or_default()].concat())
    });
    let mut rules = Vec::new();
    for rule in parsed.syscalls {
        if applies(&rule, caps)? {
            rules.push(converted(rule)?);
        }
    }
    let mut seccomp = LinuxSeccomp::default();
    seccomp.set_default_action(parsed.default_action);
    seccomp.set_default_errno_ret(parsed.default_errno_ret);
    seccomp.set_architectures(parsed.architectures.or(mapped));
    seccomp.set_flags(parsed.flags);
    seccomp.set_syscalls(Some(rules));
    Ok(seccomp)
}

/// The two conditions of a rule; what is not said holds.
fn applies(rule: &Rule, caps: &[Capability]) -> Result<bool> {
    let has = |name: &String| {
        let bare = name.strip_prefix("CAP_").unwrap_or(name);
        caps.iter().any(|cap| cap.to_string() == bare)
    };
    let ours = |arch: &String| matches!(arch.as_str(), "amd64" | "x86_64");
    let newer = |condition: &Condition| condition.min_kernel.as_deref().map(kernel_at_least).transpose();
    let excluded = rule.excludes.caps.iter().any(has)
        || rule.excludes.arches.iter().any(ours)
        || newer(&rule.excludes)? == Some(true);
    let included = rule.includes.caps.iter().all(has)
        && (rule.includes.arches.is_empty() || rule.includes.arches.iter().any(ours))
        && newer(&rule.includes)? != Some(false);
    Ok(included && !excluded)
}

/// Compares `major.minor` with the running kernel. The guest's kernel is ours and newer than any profile asks for.
fn kernel_at_least(version: &str) -> Result<bool> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let wanted = numbers(version)
        .ok_or_else(|| Error::invalid(format!("invalid minKernel \"{version}\" in the seccomp profile")))?;
    Ok(numbers(&release).is_none_or(|running| running >= wanted))
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn converted(rule: Rule) -> Result<LinuxSyscall> {
    let names = match (rule.name, rule.names.is_empty()) {
        (Some(name), true) => vec![name],
        (None, false) => rule.names,
        (Some(_), false) => {
            return Err(Error::invalid(
                "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
            ));
        }
        (None, true) => return Err(Error::invalid("a rule of the seccomp profile names no system call")),
    };
    let mut syscall = LinuxSyscall::default();
    syscall.set_names(names);
    syscall.set_action(rule.action);
    syscall.set_errno_ret(rule.errno_ret);
    syscall.set_args(rule.args.filter(|args| !args.is_empty()));
    Ok(syscall)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []}],
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
             "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
            {"names": ["arm_fadvise64_64"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}}
        ]}"#;

    fn allowed(caps: &[Capability]) -> Vec<String> {
        let seccomp = profile(PROFILE, caps).unwrap();
        seccomp.syscalls().iter().flatten().flat_map(|s| s.names().clone()).collect()
    }

    #[test]
    fn conditions() {
        assert_eq!(allowed(&[]), ["read", "write", "clone", "ptrace"]);
        assert_eq!(allowed(&[Capability::SysAdmin]), ["read", "write", "mount", "ptrace"]);
    }

    #[test]
    fn values_carry_over() {
        let seccomp = profile(PROFILE, &[]).unwrap();
        assert_eq!(seccomp.default_errno_ret(), Some(38));
        assert_eq!(seccomp.architectures().as_ref().unwrap().len(), 2);
        let clone = &seccomp.syscalls().as_ref().unwrap()[1];
        assert_eq!(clone.args().as_ref().unwrap()[0].value(), 2_114_060_288);
    }

    #[test]
    fn plain_oci_profile_and_errors() {
        let plain = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"]}"#;
        assert!(profile(plain, &[]).is_ok());
        assert!(profile("{}", &[]).is_err());
        let both = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":[],"archMap":[]}"#;
        assert!(profile(both, &[]).is_err());
        let nameless = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_KILL"}]}"#;
        assert!(profile(nameless, &[]).is_err());
    }
}
