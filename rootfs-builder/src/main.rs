//! `sandbox-rootfs-builder`: writes the guest's initramfs or the embedded default image to a file.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sandbox_rootfs_builder::{Error, Result, default_image, initramfs};

const USAGE: &str = "\
Usage:  sandbox-rootfs-builder initramfs --agent PATH --output FILE
        sandbox-rootfs-builder default-image --busybox PATH --output FILE

SOURCE_DATE_EPOCH dates the default image (0 when not set).
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["initramfs", "--agent", agent, "--output", output] => {
            write_file(Path::new(output), |file| initramfs::write(Path::new(agent), file))
        }
        ["default-image", "--busybox", busybox, "--output", output] => match source_date() {
            Ok(epoch) => {
                write_file(Path::new(output), |file| default_image::write(Path::new(busybox), epoch, file))
            }
            Err(message) => {
                eprintln!("sandbox-rootfs-builder: {message}");
                return ExitCode::from(2);
            }
        },
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox-rootfs-builder: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Seconds since 1970 from `SOURCE_DATE_EPOCH` (reproducible-builds.org specification).
fn source_date() -> std::result::Result<u64, String> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().map_err(|_| format!("SOURCE_DATE_EPOCH is not a number: {text:?}")),
        Err(_) => Ok(0),
    }
}

/// The file appears whole or not at all.
fn write_file(
    path: &Path,
    write: impl FnOnce(BufWriter<std::fs::File>) -> Result<BufWriter<std::fs::File>>,
) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let fail = |action, path: &Path, source| Error::File { action, path: path.to_owned(), source };
    let file = std::fs::File::create(&temporary).map_err(|source| fail("create", &temporary, source))?;
    let written = write(BufWriter::with_capacity(1 << 16, file)).and_then(|_| {
        std::fs::rename(&temporary, path).map_err(|source| fail("move the result to", path, source))
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
