//! `sandbox version`: client and server are one program.

use sandbox_image::Platform;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::flags::system::FormatFlags;
use crate::format::{self, inspect::Style};

pub(in crate::commands) fn run(flags: &FormatFlags) -> Result<u8, Failure> {
    let version = version();
    let text = match flags.format.as_deref() {
        None | Some("") => table(&version),
        Some(format) => format::inspect::one(&Style::parse(Some(format))?, &version)?,
    };
    format::print(&text)?;
    Ok(0)
}

fn version() -> Value {
    let Platform { os, architecture, .. } = Platform::host();
    let version = env!("CARGO_PKG_VERSION");
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    json!({
        "Client": {"Version": version, "Os": os, "Arch": architecture, "Context": "default"},
        "Server": {
            "Platform": {"Name": ""},
            "Components": [
                {"Name": "Engine", "Version": version, "Details": {"Os": os, "Arch": architecture, "KernelVersion": kernel}}
            ],
            "Version": version,
            "Os": os,
            "Arch": architecture,
            "KernelVersion": kernel,
        },
    })
}

fn table(version: &Value) -> String {
    let text = |part: &str, member: &str| {
        version
            .get(part)
            .and_then(|part| part.get(member))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let client = |member| text("Client", member);
    let server = |member| text("Server", member);
    format!(
        "Client:\n {:<19}{}\n {:<19}{}/{}\n {:<19}{}\n\nServer:\n Engine:\n  {:<18}{}\n  {:<18}{}/{}\n  {:<18}{}\n",
        "Version:",
        client("Version"),
        "OS/Arch:",
        client("Os"),
        client("Arch"),
        "Context:",
        client("Context"),
        "Version:",
        server("Version"),
        "OS/Arch:",
        server("Os"),
        server("Arch"),
        "Kernel version:",
        server("KernelVersion"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts() {
        let version = json!({
            "Client": {"Version": "1.2.3", "Os": "linux", "Arch": "amd64", "Context": "default"},
            "Server": {"Version": "1.2.3", "Os": "linux", "Arch": "amd64", "KernelVersion": "6.12"},
        });
        assert_eq!(
            table(&version),
            "Client:\n Version:           1.2.3\n OS/Arch:           linux/amd64\n Context:           default\n\n\
             Server:\n Engine:\n  Version:          1.2.3\n  OS/Arch:          linux/amd64\n  Kernel version:   6.12\n"
        );
        let style = Style::parse(Some("{{.Server.Version}} {{.Client.Os}}")).unwrap();
        assert_eq!(format::inspect::one(&style, &version).unwrap(), "1.2.3 linux\n");
    }
}
