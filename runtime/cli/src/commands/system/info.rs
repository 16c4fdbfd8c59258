//! `sandbox info`.

use std::fmt::Write;

use sandbox_engine::Info;
use serde_json::json;

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::system::FormatFlags;
use crate::format::{self, inspect::Style, size};

pub(in crate::commands) fn run(global: &Global, flags: &FormatFlags) -> Result<u8, Failure> {
    let format = flags.format.as_deref().filter(|format| !format.is_empty());
    let style = format.map(|format| Style::parse(Some(format))).transpose()?;
    let settings = global.settings()?;
    let info = crate::commands::engine_of(&settings)?.info(&settings)?;
    let text = match style {
        None => pretty(&info),
        Some(style) => {
            let mut value = serde_json::to_value(&info).map_err(Failure::plain)?;
            if let Some(members) = value.as_object_mut() {
                let client = json!({"Version": info.server_version, "Context": "default", "Debug": false});
                members.insert("ClientInfo".to_owned(), client);
            }
            format::inspect::one(&style, &value)?
        }
    };
    format::print(&text)?;
    Ok(0)
}

/// Docker's layout of what there is.
fn pretty(info: &Info) -> String {
    let mut text = format!(
        "Client:\n Version:    {}\n Context:    default\n Debug Mode: false\n\nServer:\n",
        info.server_version
    );
    // Writing to a String cannot fail.
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, " {key}: {value}");
    };
    line("Containers", &info.containers);
    line(" Running", &info.containers_running);
    line(" Paused", &info.containers_paused);
    line(" Stopped", &info.containers_stopped);
    line("Images", &info.images);
    line("Server Version", &info.server_version);
    line("Storage Driver", &info.driver);
    line("Logging Driver", &info.logging_driver);
    line("Cgroup Driver", &info.cgroup_driver);
    line("Cgroup Version", &info.cgroup_version);
    line("Security Options", &"\n  seccomp\n   Profile: builtin\n  cgroupns");
    line("Default Isolation", &info.isolation);
    line("Kernel Version", &info.kernel_version);
    line("Operating System", &info.operating_system);
    line("OSType", &info.os_type);
    line("Architecture", &info.architecture);
    line("CPUs", &info.cpus);
    line("Total Memory", &size::binary(info.mem_total));
    line("Name", &info.name);
    line("Docker Root Dir", &info.docker_root_dir);
    line("Debug Mode", &false);
    text.push_str(" Configuration:\n");
    for setting in &info.configuration {
        let _ = writeln!(text, "  {}: {} ({})", setting.key, setting.value, setting.origin);
    }
    text.replace("Security Options: \n", "Security Options:\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_engine::{Configured, Isolation};

    #[test]
    fn the_layout() {
        let info = Info {
            containers: 3,
            containers_running: 1,
            containers_paused: 1,
            containers_stopped: 1,
            images: 2,
            driver: "overlay2",
            logging_driver: "json-file".to_owned(),
            cgroup_driver: "cgroupfs",
            cgroup_version: "2",
            kernel_version: "6.12.0".to_owned(),
            operating_system: "Debian".to_owned(),
            os_type: "linux",
            architecture: "x86_64",
            cpus: 2,
            mem_total: 8 << 30,
            docker_root_dir: "/var/lib/sandbox".to_owned(),
            name: "host".to_owned(),
            server_version: "1.2.3",
            security_options: Vec::new(),
            isolation: Isolation::Vm,
            configuration: vec![Configured {
                key: "vm.cpus",
                value: "2".to_owned(),
                origin: "SANDBOX_VM_CPUS".to_owned(),
            }],
        };
        assert_eq!(
            pretty(&info),
            "Client:\n Version:    1.2.3\n Context:    default\n Debug Mode: false\n\nServer:\n Containers: 3\n  \
             Running: 1\n  Paused: 1\n  Stopped: 1\n Images: 2\n Server Version: 1.2.3\n Storage Driver: overlay2\n \
             Logging Driver: json-file\n Cgroup Driver: cgroupfs\n Cgroup Version: 2\n Security Options:\n  seccomp\n   \
             Profile: builtin\n  cgroupns\n Default Isolation: vm\n Kernel Version: 6.12.0\n Operating System: Debian\n \
             OSType: linux\n Architecture: x86_64\n CPUs: 2\n Total Memory: 8GiB\n Name: host\n \
             Docker Root Dir: /var/lib/sandbox\n Debug Mode: false\n Configuration:\n  vm.cpus: 2 (SANDBOX_VM_CPUS)\n"
        );
    }
}
