//! `linux.resources` of the spec written into control files.

use oci_spec::runtime::{LinuxHugepageLimit, LinuxRdma, LinuxResources};
use rustix::io::Errno;

use super::{Cgroup, controllers, cpu, io, memory};
use crate::error::{Context, Error};

/// One value for one control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// As the spec names it, for errors: `memory.limit`.
    pub(super) limit: &'static str,
    pub(super) file: String,
    pub(super) value: String,
}

impl Setting {
    pub(super) fn new(limit: &'static str, file: impl Into<String>, value: impl std::fmt::Display) -> Self {
        Setting { limit, file: file.into(), value: value.to_string() }
    }
}

/// "max" for everything that means "no limit".
pub(super) fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// An error for what only cgroup v1 had.
pub(super) fn only_v1(limit: &str) -> Error {
    Error::Unavailable {
        feature: format!("linux.resources.{limit}"),
        reason: "cgroup v2 has nothing like it; leave it out".to_owned(),
    }
}

impl Cgroup {
    /// Sets every limit of `resources`, devices apart ([`Cgroup::set_devices`]).
    ///
    /// # Errors
    /// [`Error::Controller`] for a limit whose controller is not in the tree, [`Error::Spec`] for values that
    /// contradict each other, [`Error::System`] for values that the kernel refuses.
    pub fn apply(&self, resources: &LinuxResources) -> Result<(), Error> {
        if let Some(limits) = resources.memory() {
            self.check_usage(limits)?;
            self.set_all(&memory::settings(limits)?)?;
        }
        if let Some(limits) = resources.cpu() {
            self.set_all(&cpu::settings(limits)?)?;
        }
        if let Some(pids) = resources.pids() {
            // Docker and runc: nothing above 0 means no limit.
            let value = if pids.limit() > 0 { pids.limit() } else { -1 };
            self.set(&Setting::new("pids.limit", "pids.max", or_max(value)))?;
        }
        if let Some(limits) = resources.block_io() {
            self.set_all(&io::settings(limits, self.has("io.bfq.weight"))?)?;
        }
        for limit in resources.hugepage_limits().iter().flatten() {
            self.set_hugetlb(limit)?;
        }
        for (device, limit) in resources.rdma().iter().flatten() {
            self.set(&Setting::new("rdma", "rdma.max", rdma(device, limit)))?;
        }
        if let Some(network) = resources.network()
            && (network.class_id().unwrap_or(0) != 0
                || network.priorities().as_ref().is_some_and(|p| !p.is_empty()))
        {
            return Err(only_v1("network"));
        }
        // The explicit values win over the converted ones.
        let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
        unified.sort();
        unified.into_iter().try_for_each(|(file, value)| self.set_unified(file, value))
    }

    fn set_all(&self, settings: &[Setting]) -> Result<(), Error> {
        settings.iter().try_for_each(|setting| self.set(setting))
    }

    pub(super) fn set(&self, setting: &Setting) -> Result<(), Error> {
        match self.write(&setting.file, &setting.value) {
            Err(Errno::NOENT) if setting.file == "memory.swap.max" && !swap_exists() => Ok(()),
            Err(Errno::NOENT) => {
                let controller = setting.file.split('.').next().unwrap_or_default();
                Err(controllers::missing(self.path(), controller, setting.limit))
            }
            result => result.context(|| {
                let (file, path) = (&setting.file, self.path().display());
                format!("set {}: write \"{}\" to {path}/{file}", setting.limit, setting.value)
            }),
        }
    }

    fn set_hugetlb(&self, limit: &LinuxHugepageLimit) -> Result<(), Error> {
        let size = limit.page_size();
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::spec(format!("hugepageLimits: \"{size}\" is not a page size like 2MB")));
        }
        let value = or_max(limit.limit());
        self.set(&Setting::new("hugepageLimits", format!("hugetlb.{size}.max"), &value))?;
        let reserved = format!("hugetlb.{size}.rsvd.max");
        if self.has(&reserved) { self.set(&Setting::new("hugepageLimits", reserved, &value)) } else { Ok(()) }
    }

    fn set_unified(&self, file: &str, value: &str) -> Result<(), Error> {
        let plain = file.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !plain || !file.contains('.') || file.starts_with('.') || file.starts_with("cgroup.") {
            return Err(Error::spec(format!(
                "linux.resources.unified: \"{file}\" is not a controller's file"
            )));
        }
        // Several lines are several writes (io.max has one line for a device).
        value
            .lines()
            .filter(|line| !line.trim().is_empty())
            .try_for_each(|line| self.set(&Setting::new("unified", file, line)))
    }
}

fn rdma(device: &str, limit: &LinuxRdma) -> String {
    let part =
        |name: &str, value: Option<u32>| value.map(|value| format!(" {name}={value}")).unwrap_or_default();
    format!("{device}{}{}", part("hca_handle", limit.hca_handles()), part("hca_object", limit.hca_objects()))
}

/// Without swap there is nothing to limit.
fn swap_exists() -> bool {
    rustix::system::sysinfo().totalswap > 0
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn a_limit_without_controller_is_a_clear_error() {
        let cgroup = super::super::testing::cgroup("controller");
        let memory = LinuxMemoryBuilder::default().limit(64 << 20).build().expect("memory");
        let resources = LinuxResourcesBuilder::default().memory(memory).build().expect("resources");
        let result = cgroup.apply(&resources);
        if cgroup.has("memory.max") {
            assert_eq!(cgroup.read("memory.max").expect("read").trim(), "67108864");
            result.expect("the controller is there");
        } else {
            let error = result.expect_err("no memory controller here").to_string();
            assert!(
                error.starts_with("cannot set memory.limit: the cgroup v2 controller \"memory\""),
                "{error}"
            );
        }
        cgroup.remove().expect("removed");
    }

    #[test]
    fn unified_names_are_checked() {
        let cgroup = super::super::testing::cgroup("unified");
        for name in ["../cgroup.procs", "cgroup.procs", "memory", ".x", "a/b.c"] {
            let unified = HashMap::from([(name.to_owned(), "1".to_owned())]);
            let resources = LinuxResourcesBuilder::default().unified(unified).build().expect("resources");
            assert!(matches!(cgroup.apply(&resources), Err(Error::Spec(_))), "{name}");
        }
        cgroup.remove().expect("removed");
    }
}
