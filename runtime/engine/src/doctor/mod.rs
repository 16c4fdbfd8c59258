//! What this machine can do, found out by trying.

mod kvm;
mod overlay;
mod user_namespace;

use std::path::Path;

use crate::cgroup::Hierarchy;
use crate::error::Error;
use crate::installation::Installation;
use crate::paths::Paths;

pub(crate) use kvm::open_error;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Ok,
    /// Something is missing that not everybody needs.
    Warn,
    /// Containers cannot run.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    pub level: Level,
    pub subject: &'static str,
    pub detail: String,
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(subject: &'static str, detail: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, subject, detail: detail.into(), remedy: None }
    }
    fn warn(subject: &'static str, detail: impl Into<String>, remedy: &str) -> Finding {
        Finding { level: Level::Warn, subject, detail: detail.into(), remedy: Some(remedy.to_owned()) }
    }
    fn fail(subject: &'static str, detail: impl Into<String>, remedy: &str) -> Finding {
        Finding { level: Level::Fail, subject, detail: detail.into(), remedy: Some(remedy.to_owned()) }
    }
}

/// Controllers whose limits `run` has flags for.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "cpuset"];

/// Looks at everything but a guest's boot.
pub fn examine(paths: &Paths, installation: &Installation) -> Vec<Finding> {
    let mut findings = vec![root(), kvm::examine(), cgroup(Hierarchy::find())];
    match paths.prepare() {
        Ok(()) => findings.push(overlay::examine(paths)),
        Err(e) => {
            findings.push(Finding::fail("data root", e.to_string(), "run as root, or choose another --root"));
        }
    }
    findings.push(user_namespace::examine());
    findings.extend(files(installation));
    findings
}

fn root() -> Finding {
    if rustix::process::geteuid().is_root() {
        return Finding::ok("privileges", "running as root");
    }
    Finding::fail("privileges", "not running as root", "run it with sudo")
}

fn cgroup(hierarchy: Option<Hierarchy>) -> Finding {
    let boot = "boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all)";
    let Some(hierarchy) = hierarchy else {
        return Finding::warn("cgroup v2", "no cgroup v2 tree is mounted: no limits, no certain kill", boot);
    };
    let missing: Vec<&str> = CONTROLLERS.into_iter().filter(|c| !hierarchy.has(c)).collect();
    let place = hierarchy.path.display();
    if missing.is_empty() {
        return Finding::ok("cgroup v2", format!("{place}: {}", hierarchy.controllers().join(" ")));
    }
    let detail =
        format!("{place} has no controller {}: the limits that need it are refused", missing.join(", "));
    Finding::warn("cgroup v2", detail, boot)
}

fn files(installation: &Installation) -> Vec<Finding> {
    let reinstall = "reinstall, or set SANDBOX_LIBEXEC to the directory that holds it";
    let check = |subject, found: crate::Result<std::path::PathBuf>, test: fn(&Path) -> Result<(), String>| {
        match found {
            Ok(path) => match test(&path) {
                Ok(()) => Finding::ok(subject, path.display().to_string()),
                Err(why) => Finding::fail(subject, format!("{}: {why}", path.display()), reinstall),
            },
            Err(Error::NotInstalled { name, looked, .. }) => {
                Finding::fail(subject, format!("{name} is not in {looked}"), reinstall)
            }
            Err(e) => Finding::fail(subject, e.to_string(), reinstall),
        }
    };
    let mut findings = vec![
        check("supervisor", installation.shim(), executable),
        check("monitor", installation.vmm(), executable),
        check("guest kernel", installation.kernel(), |p| starts_with(p, b"\x7fELF", "an ELF file")),
        check("initramfs", installation.initramfs(), |p| starts_with(p, b"070701", "a newc cpio archive")),
    ];
    let image = check("default image", installation.default_image(), |_| Ok(()));
    findings.push(if image.level == Level::Ok { image } else { Finding { level: Level::Warn, ..image } });
    findings
}

fn executable(path: &Path) -> Result<(), String> {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).map_err(|e| format!("cannot be executed: {e}"))
}

fn starts_with(path: &Path, magic: &[u8], what: &str) -> Result<(), String> {
    use std::io::Read;
    let mut head = vec![0; magic.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Ok(()) if head == magic => Ok(()),
        Ok(()) => Err(format!("is not {what}")),
        Err(e) => Err(format!("cannot be read: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_be_kept_are_a_warning() {
        assert_eq!(cgroup(None).level, Level::Warn);
        let partial = cgroup(Some(Hierarchy::new("/cg".into(), "cpu pids")));
        assert_eq!(partial.level, Level::Warn);
        assert!(partial.detail.contains("memory, cpuset"), "{}", partial.detail);
        assert_eq!(cgroup(Some(Hierarchy::new("/cg".into(), "cpuset cpu io memory pids"))).level, Level::Ok);
    }

    #[test]
    fn files_are_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let findings = files(&Installation::at(vec![dir.path().to_owned()]));
        assert_eq!(findings.iter().filter(|f| f.level == Level::Fail).count(), 4);
        assert_eq!(findings.iter().filter(|f| f.level == Level::Warn).count(), 1);
        std::fs::write(dir.path().join("vmlinux"), b"\x7fELF...").unwrap();
        std::fs::write(dir.path().join("initramfs.cpio"), b"not cpio").unwrap();
        let findings = files(&Installation::at(vec![dir.path().to_owned()]));
        let of = |subject| findings.iter().find(|f| f.subject == subject).unwrap();
        assert_eq!(of("guest kernel").level, Level::Ok);
        assert!(of("initramfs").detail.contains("is not a newc cpio archive"));
    }

    #[test]
    fn this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("root"), &dir.path().join("run")).unwrap();
        let findings = examine(&paths, &Installation::at(vec![]));
        let subjects: Vec<_> = findings.iter().map(|f| f.subject).collect();
        assert!(subjects.starts_with(&["privileges", "kvm", "cgroup v2", "overlay", "user namespaces"]));
        assert!(findings.iter().filter(|f| f.level != Level::Ok).all(|f| f.remedy.is_some()));
    }
}
