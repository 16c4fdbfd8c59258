//! POSIX ACLs.

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::io::Errno;
use zerocopy::IntoBytes;

use crate::config::CacheMode::Private;
use crate::virtio::fs::protocol::flags::SETXATTR_ACL_KILL_SGID;
use crate::virtio::fs::protocol::requests::{MkdirIn, SetxattrExt, SetxattrIn};
use crate::virtio::fs::protocol::{EntryOut, Opcode, ROOT_ID};
use crate::virtio::fs::test_client::{Client, body, text};

/// Version 2: user rwx, user 77 rwx, group r-x, mask rwx, other ---.
fn acl() -> Vec<u8> {
    let none = u32::MAX;
    let entries = [(1_u16, 7_u16, none), (2, 7, 77), (4, 5, none), (0x10, 7, none), (0x20, 0, none)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn set_acl(client: &Client, node: u64, name: &str, flags: u32) -> Result<Vec<u8>, Errno> {
    let acl = acl();
    let fixed = SetxattrIn { size: acl.len() as u32, flags: 0 };
    let more = SetxattrExt { setxattr_flags: flags, padding: 0 };
    client.call(Opcode::Setxattr, node, &body(&[fixed.as_bytes(), more.as_bytes(), &text(name), &acl]))
}

#[test]
fn a_default_acl_beats_the_umask() {
    let client = Client::new(Private, false);
    set_acl(&client, ROOT_ID, "system.posix_acl_default", 0).unwrap();
    let request = MkdirIn { mode: 0o777, umask: 0o077 };
    let made: EntryOut =
        client.ask(Opcode::Mkdir, ROOT_ID, &body(&[request.as_bytes(), &text("d")])).unwrap();
    assert_eq!(made.attr.mode & 0o777, 0o770);
    let mut value = [0; 256];
    let inherited = getxattr(client.path("d"), "system.posix_acl_access", &mut value).unwrap();
    assert_eq!(value[..inherited], acl());
}

#[test]
fn an_access_acl_changes_the_mode_and_clears_set_group_id_if_asked() {
    let client = Client::new(Private, false);
    let (node, _) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o755).unwrap();
    // A group that this process is not in: only CAP_FSETID keeps the bit.
    std::os::unix::fs::chown(client.path("f"), Some(1000), Some(1000)).unwrap();
    for (flags, mode) in [(0, 0o2770), (SETXATTR_ACL_KILL_SGID, 0o770)] {
        rustix::fs::chmod(client.path("f"), 0o2755.into()).unwrap();
        set_acl(&client, node, "system.posix_acl_access", flags).unwrap();
        assert_eq!(client.attr(node).unwrap().mode & 0o7777, mode);
    }
    // What the host sets, the guest sees.
    setxattr(client.path("f"), "system.posix_acl_access", &acl(), XattrFlags::REPLACE).unwrap();
    let request = body(&[[256_u32, 0].as_bytes(), &text("system.posix_acl_access")]);
    assert_eq!(client.call(Opcode::Getxattr, node, &request).unwrap(), acl());
}
