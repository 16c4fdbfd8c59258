//! The guest's initramfs: the agent as `/init`, mount points, and the devices it needs before `devtmpfs`.
//!
//! It is not compressed: the kernel unpacks it on the start path, and copying is faster than inflating.

use std::io::Write;
use std::path::Path;

use crate::cpio::CpioWriter;
use crate::{Error, Result, elf};

/// Mount points of the agent.
const DIRECTORIES: [(&str, u32); 6] =
    [("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("run", 0o755), ("root", 0o700), ("tmp", 0o1777)];

/// Name, permissions, major, minor. The kernel opens `/dev/console` for PID 1 before any process runs;
/// the other two let the agent speak until it has mounted `devtmpfs`
/// (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32, u32); 3] =
    [("dev/console", 0o600, 5, 1), ("dev/null", 0o666, 1, 3), ("dev/kmsg", 0o644, 1, 11)];

/// Writes the initramfs with the agent at `agent` as `/init`.
///
/// # Errors
/// The agent cannot be read or is not a static program, or `out` fails.
pub fn write<W: Write>(agent: &Path, out: W) -> Result<W> {
    let program = std::fs::read(agent).map_err(|source| Error::File {
        action: "read",
        path: agent.to_owned(),
        source,
    })?;
    elf::check_static(&program).map_err(|reason| Error::NotAProgram {
        path: agent.to_owned(),
        purpose: "the guest's /init",
        reason,
    })?;
    let mut cpio = CpioWriter::new(out);
    for (name, mode) in DIRECTORIES {
        cpio.directory(name, mode).map_err(|source| entry(name, source))?;
    }
    for (name, mode, major, minor) in DEVICES {
        cpio.character_device(name, mode, major, minor).map_err(|source| entry(name, source))?;
    }
    cpio.file("init", 0o755, &program).map_err(|source| entry("init", source))?;
    cpio.finish().map_err(|source| entry("TRAILER!!!", source))
}

fn entry(name: &str, source: std::io::Error) -> Error {
    Error::Entry { name: name.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn agent(directory: &Path, segment: u32) -> std::path::PathBuf {
        let path = directory.join("agent");
        std::fs::write(&path, crate::elf::tests::elf(segment)).unwrap();
        path
    }

    #[test]
    fn same_agent_same_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let agent = agent(directory.path(), 1);
        let first = write(&agent, Vec::new()).unwrap();
        let second = write(&agent, Vec::new()).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn refuses_a_dynamic_agent() {
        let directory = tempfile::tempdir().unwrap();
        let error = write(&agent(directory.path(), 3), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("dynamically linked"), "{error}");
    }

    #[test]
    fn cpio_reads_it_back() {
        let directory = tempfile::tempdir().unwrap();
        let archive = write(&agent(directory.path(), 1), Vec::new()).unwrap();
        let mut child = Command::new("cpio")
            .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cpio (apt-get install cpio)");
        child.stdin.take().unwrap().write_all(&archive).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> = listing.lines().map(|line| line.split_whitespace().collect()).collect();
        let found = |name: &str| {
            lines.iter().find(|fields| fields.last() == Some(&name)).unwrap_or_else(|| panic!("{listing}"))
        };
        assert_eq!(found("init")[0], "-rwxr-xr-x");
        assert_eq!(found("init")[4], "120");
        assert_eq!(found("tmp")[0], "drwxrwxrwt");
        assert_eq!(found("dev/console")[0], "crw-------");
        assert_eq!(&found("dev/console")[4..6], ["5,", "1"]);
        assert_eq!(lines.len(), DIRECTORIES.len() + DEVICES.len() + 1);
        assert!(
            listing.find("dev/console") > listing.find(" dev\n"),
            "the kernel makes no parent directories:\n{listing}"
        );
    }
}
