//! The embedded default image: an OCI archive around one statically linked busybox.
//!
//! One uncompressed layer, because the image is loaded on a machine's first run and copying is faster
//! than inflating two megabytes. Applets are hard links, so that all of them share one inode and its
//! page cache.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::applets::{self, Busybox};
use crate::{Error, Result, elf};

/// The name under which the image is loaded.
pub const NAME: &str = "localhost/busybox:latest";

const PATH_ENV: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

const DIRECTORIES: [(&str, u32); 21] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/spool/mail", 0o755),
    ("var/tmp", 0o1777),
    ("var/www", 0o755),
];

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
operator:x:37:
users:x:100:
nogroup:x:65534:
";

const SHADOW: &str = "root:*:::::::\nnobody:*:::::::\n";
const PROFILE: &str = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";

/// Writes the OCI archive of the busybox at `busybox`, dated `epoch` (seconds since 1970).
///
/// # Errors
/// busybox cannot be read or run, is not static, or `out` fails.
pub fn write<W: Write>(busybox: &Path, epoch: u64, out: W) -> Result<W> {
    let program = std::fs::read(busybox).map_err(|source| Error::File {
        action: "read",
        path: busybox.to_owned(),
        source,
    })?;
    elf::check_static(&program).map_err(|reason| Error::NotAProgram {
        path: busybox.to_owned(),
        purpose: "the default image's busybox",
        reason,
    })?;
    archive(&program, &applets::ask(busybox)?, epoch, out)
}

fn archive<W: Write>(program: &[u8], busybox: &Busybox, epoch: u64, out: W) -> Result<W> {
    let layer = layer(program, busybox, epoch)?;
    let created = rfc3339(epoch);
    let diff_id = digest(&layer);
    let config = to_bytes(&json!({
        "created": created,
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Env": [PATH_ENV], "Cmd": ["sh"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{
            "created": created,
            "created_by": format!("sandbox-rootfs-builder default-image # busybox {}", busybox.version),
        }],
    }));
    let manifest = to_bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer)],
    }));
    let mut listed = descriptor(MANIFEST, &manifest);
    listed["annotations"] =
        json!({ "io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "latest" });
    let index = to_bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed] }));

    let mut tar = Tar { builder: tar::Builder::new(out), epoch };
    tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.file("index.json", 0o644, &index)?;
    tar.directory("blobs", 0o755)?;
    tar.directory("blobs/sha256", 0o755)?;
    for blob in [manifest, config, layer] {
        tar.file(&format!("blobs/sha256/{}", hex(&blob)), 0o644, &blob)?;
    }
    tar.finish()
}

fn layer(program: &[u8], busybox: &Busybox, epoch: u64) -> Result<Vec<u8>> {
    let mut tar = Tar { builder: tar::Builder::new(Vec::new()), epoch };
    for (name, mode) in DIRECTORIES {
        tar.directory(name, mode)?;
    }
    tar.file("bin/busybox", 0o755, program)?;
    for applet in busybox.applets.iter().filter(|name| *name != "busybox") {
        tar.link(tar::EntryType::Link, &format!("bin/{applet}"), "bin/busybox")?;
    }
    // Where scripts look for it.
    tar.link(tar::EntryType::Symlink, "usr/bin/env", "../../bin/env")?;
    let version = &busybox.version;
    let os_release = format!(
        "NAME=\"BusyBox\"\nID=busybox\nVERSION_ID=\"{version}\"\n\
         PRETTY_NAME=\"BusyBox {version} (sandbox's default image)\"\n"
    );
    tar.file("etc/group", 0o644, GROUP.as_bytes())?;
    tar.file("etc/os-release", 0o644, os_release.as_bytes())?;
    tar.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
    tar.file("etc/profile", 0o644, PROFILE.as_bytes())?;
    tar.file("etc/shadow", 0o640, SHADOW.as_bytes())?;
    tar.finish()
}

/// A tar whose entries belong to root and bear one date.
struct Tar<W: Write> {
    builder: tar::Builder<W>,
    epoch: u64,
}

impl<W: Write> Tar<W> {
    fn header(&self, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.epoch);
        header.set_size(size);
        header
    }

    fn directory(&mut self, name: &str, mode: u32) -> Result<()> {
        let mut header = self.header(tar::EntryType::Directory, mode, 0);
        self.builder
            .append_data(&mut header, format!("{name}/"), std::io::empty())
            .map_err(|source| Error::Entry { name: name.to_owned(), source })
    }

    fn file(&mut self, name: &str, mode: u32, data: &[u8]) -> Result<()> {
        let mut header = self.header(tar::EntryType::Regular, mode, data.len() as u64);
        self.builder
            .append_data(&mut header, name, data)
            .map_err(|source| Error::Entry { name: name.to_owned(), source })
    }

    fn link(&mut self, kind: tar::EntryType, name: &str, target: &str) -> Result<()> {
        let mut header = self.header(kind, 0o777, 0);
        self.builder
            .append_link(&mut header, name, target)
            .map_err(|source| Error::Entry { name: name.to_owned(), source })
    }

    fn finish(self) -> Result<W> {
        self.builder
            .into_inner()
            .and_then(|mut out| out.flush().map(|()| out))
            .map_err(|source| Error::Entry { name: "end of archive".into(), source })
    }
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(blob), "size": blob.len() })
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", hex(blob))
}

fn hex(blob: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(blob).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn to_bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// `seconds` since 1970 as an RFC 3339 date in UTC (Howard Hinnant's civil-from-days).
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests;
