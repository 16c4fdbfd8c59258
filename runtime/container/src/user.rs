//! `user[:group]` as image configurations and `--user` write it, looked up in the image's own files.
//!
//! The files belong to the image and are hostile: they are opened beneath the rootfs without
//! following a link out, must be regular, and are read up to a bound.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Context, Error};

/// More than this of /etc/passwd or /etc/group is not read.
const MAX_FILE: usize = 4 << 20;
/// Kernel's NGROUPS_MAX.
const MAX_GROUPS: usize = 65536;
/// Ids above this are refused, as Docker does: (uid_t)-1 and its neighbours mean "no change" to the kernel.
const MAX_ID: u64 = (1 << 31) - 1;

/// The identity that a process is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id inside the container.
    pub uid: u32,
    /// Primary group id inside the container.
    pub gid: u32,
    /// Supplementary groups, in the order of the group file, without duplicates.
    pub additional_gids: Vec<u32>,
    /// Home directory from the passwd file, `/` if there is none.
    pub home: String,
    /// Name from the passwd file where there is one.
    pub name: Option<String>,
}

/// Resolves `user` ("", "name", "uid", "name:group", "uid:gid", ":group") and `extra_groups`
/// (`--group-add`, names or ids) against /etc/passwd and /etc/group of the rootfs.
///
/// Docker's rules: an id that is not in the file stands for itself with group 0; a name must be there;
/// the supplementary groups of a name count only when no group was given.
///
/// # Errors
/// [`Error::User`] with Docker's words for unknown names and ids out of range; [`Error::System`]
/// or [`Error::Refused`] when a file is there but cannot be read.
pub fn resolve_user(rootfs: BorrowedFd<'_>, user: &str, extra_groups: &[String]) -> Result<User, Error> {
    let passwd = read_file(rootfs, "etc/passwd")?;
    let group = read_file(rootfs, "etc/group")?;
    resolve(&passwd, &group, user, extra_groups)
}

/// The home directory of `uid` in the passwd file below `root`, `/` when there is none.
pub(crate) fn home_of(root: &std::path::Path, uid: u32) -> String {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let passwd = rustix::fs::open(root, flags, Mode::empty())
        .ok()
        .and_then(|root| read_file(std::os::fd::AsFd::as_fd(&root), "etc/passwd").ok())
        .unwrap_or_default();
    let entry = passwd.lines().filter_map(PasswdEntry::parse).find(|entry| entry.uid == u64::from(uid));
    entry.map(|entry| entry.home).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned()
}

fn resolve(passwd: &str, group: &str, user: &str, extra_groups: &[String]) -> Result<User, Error> {
    let (user_arg, group_arg) = user.split_once(':').unwrap_or((user, ""));
    let user_id = parse_id(user_arg);
    let mut found = User { uid: 0, gid: 0, additional_gids: Vec::new(), home: "/".to_owned(), name: None };

    let entry = passwd.lines().filter_map(PasswdEntry::parse).find(|entry| {
        if user_arg.is_empty() {
            entry.uid == 0
        } else {
            entry.name == user_arg || user_id == Some(entry.uid)
        }
    });
    match entry {
        Some(entry) => {
            found.uid = checked_id(entry.uid)?;
            found.gid = checked_id(entry.gid)?;
            found.name = Some(entry.name.to_owned());
            if !entry.home.is_empty() {
                entry.home.clone_into(&mut found.home);
            }
        }
        None if user_arg.is_empty() => {}
        None => {
            found.uid = checked_id(user_id.ok_or_else(|| {
                Error::User(format!("unable to find user {user_arg}: no matching entries in passwd file"))
            })?)?;
        }
    }

    if group_arg.is_empty() {
        if let Some(name) = &found.name {
            let member_of = group
                .lines()
                .filter_map(GroupEntry::parse)
                .filter(|entry| entry.members.split(',').any(|member| member.trim() == name));
            for entry in member_of {
                add_group(&mut found.additional_gids, checked_id(entry.gid)?)?;
            }
        }
    } else {
        found.gid = find_group(group, group_arg)?;
    }
    for extra in extra_groups {
        add_group(&mut found.additional_gids, find_group(group, extra)?)?;
    }
    Ok(found)
}

fn add_group(groups: &mut Vec<u32>, gid: u32) -> Result<(), Error> {
    if groups.contains(&gid) {
        return Ok(());
    }
    if groups.len() == MAX_GROUPS {
        return Err(Error::User(format!("more than {MAX_GROUPS} supplementary groups")));
    }
    groups.push(gid);
    Ok(())
}

fn find_group(group: &str, wanted: &str) -> Result<u32, Error> {
    let wanted_id = parse_id(wanted);
    let entry =
        group.lines().filter_map(GroupEntry::parse).find(|e| e.name == wanted || wanted_id == Some(e.gid));
    match entry.map(|entry| entry.gid).or(wanted_id) {
        Some(gid) => checked_id(gid),
        None => Err(Error::User(format!("unable to find group {wanted}: no matching entries in group file"))),
    }
}

fn parse_id(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn checked_id(id: u64) -> Result<u32, Error> {
    if id > MAX_ID {
        return Err(Error::User(format!("uids and gids must be in range 0-{MAX_ID}: {id} is not")));
    }
    Ok(id as u32)
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u64,
    gid: u64,
    home: &'a str,
}

impl<'a> PasswdEntry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let (_password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
        let (_gecos, home) = (fields.next(), fields.next().unwrap_or_default());
        Some(PasswdEntry { name, uid: parse_id(uid)?, gid: parse_id(gid)?, home })
    }
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u64,
    members: &'a str,
}

impl<'a> GroupEntry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let (_password, gid) = (fields.next()?, fields.next()?);
        Some(GroupEntry { name, gid: parse_id(gid)?, members: fields.next().unwrap_or_default() })
    }
}

/// The file's text; empty when there is none (an image from scratch).
fn read_file(rootfs: BorrowedFd<'_>, path: &str) -> Result<String, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file: OwnedFd = match rustix::fs::openat2(rootfs, path, flags, Mode::empty(), resolve) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(errno) => return Err(errno).context(|| format!("open /{path} of the image")),
    };
    let stat = rustix::fs::fstat(&file).context(|| format!("stat /{path} of the image"))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(Error::Refused(format!("/{path} of the image is not a regular file")));
    }
    let mut text = Vec::new();
    let mut chunk = [0; 16384];
    loop {
        let count = rustix::io::read(&file, &mut chunk).context(|| format!("read /{path} of the image"))?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if text.len() > MAX_FILE {
            return Err(Error::Refused(format!("/{path} of the image is larger than {MAX_FILE} bytes")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n#c:x:7:7::/:\nbad line\n\
        www:x:33:33:www:/var/www:/sbin/nologin\n1000:x:5:6:a name of digits:/d:\nbig:x:4294967295:0::/:\n";
    const GROUP: &str = "root:x:0:root\nadm:x:4:root,www\nwww:x:33:\naudio:x:29: www ,other\n";

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str, name: Option<&str>) -> User {
        User {
            uid,
            gid,
            additional_gids: groups.to_vec(),
            home: home.to_owned(),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn docker_semantics() {
        let cases: &[(&str, &[&str], User)] = &[
            ("", &[], user(0, 0, &[0, 4], "/root", Some("root"))),
            ("www", &[], user(33, 33, &[4, 29], "/var/www", Some("www"))),
            ("33", &[], user(33, 33, &[4, 29], "/var/www", Some("www"))),
            ("www:adm", &[], user(33, 4, &[], "/var/www", Some("www"))),
            ("www:77", &["audio", "29", "1234"], user(33, 77, &[29, 1234], "/var/www", Some("www"))),
            ("77", &[], user(77, 0, &[], "/", None)),
            ("77:88", &[], user(77, 88, &[], "/", None)),
            (":adm", &[], user(0, 4, &[], "/root", Some("root"))),
            ("1000", &[], user(5, 6, &[], "/d", Some("1000"))),
        ];
        for (text, extra, expected) in cases {
            let extra: Vec<String> = extra.iter().map(|&s| s.to_owned()).collect();
            assert_eq!(&resolve(PASSWD, GROUP, text, &extra).expect(text), expected, "{text:?}");
        }
    }

    #[test]
    fn unknown_and_out_of_range() {
        for (text, extra, message) in [
            ("nobody", None, "unable to find user nobody: no matching entries in passwd file"),
            ("www:nope", None, "unable to find group nope: no matching entries in group file"),
            ("www", Some("nope"), "unable to find group nope: no matching entries in group file"),
            ("4294967295", None, "uids and gids must be in range 0-2147483647: 4294967295 is not"),
            ("big", None, "uids and gids must be in range 0-2147483647: 4294967295 is not"),
            ("-1", None, "unable to find user -1: no matching entries in passwd file"),
        ] {
            let extra: Vec<String> = extra.into_iter().map(str::to_owned).collect();
            assert_eq!(resolve(PASSWD, GROUP, text, &extra).expect_err(text).to_string(), message);
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let etc = dir.path().join("etc");
        std::fs::create_dir(&etc).expect("mkdir");
        let root = std::fs::File::open(dir.path()).expect("open");
        assert_eq!(resolve_user(root.as_fd(), "", &[]).expect("empty image").uid, 0);
        // A link that points at the host's file stays inside the image.
        std::os::unix::fs::symlink("/../../etc/passwd", etc.join("passwd")).expect("symlink");
        assert!(resolve_user(root.as_fd(), "", &[]).is_err());
        std::fs::remove_file(etc.join("passwd")).expect("rm");
        rustix::fs::mknodat(&root, "etc/passwd", rustix::fs::FileType::Fifo, Mode::RUSR, 0).expect("fifo");
        let error = resolve_user(root.as_fd(), "", &[]).expect_err("a fifo");
        assert_eq!(error.to_string(), "refused: /etc/passwd of the image is not a regular file");
    }
}
