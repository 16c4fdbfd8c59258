//! Extended attributes and, through them, POSIX ACLs and file capabilities.
//!
//! Refuses names that mean something to the host (`trusted.overlay.*`, `security.selinux`, ...): only `user.*`,
//! `security.capability` and the two POSIX ACLs pass. Values and lists are at most 64 KiB.

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::{Outcome, Reply, Request, Server, wire};
use crate::virtio::fs::filesystem::{FsResult, XattrReply};
use crate::virtio::fs::protocol::MAX_XATTR;
use crate::virtio::fs::protocol::flags::SETXATTR_ACL_KILL_SGID;
use crate::virtio::fs::protocol::name::NAME_MAX;
use crate::virtio::fs::protocol::requests::{GetxattrIn, SetxattrExt, SetxattrIn};

impl Server {
    pub(super) fn getxattr(&self, r: &mut Request<'_, '_>, reply: &Reply<'_, '_>) -> Outcome {
        let result = r.body.take().and_then(|args: GetxattrIn| {
            let name = attribute_name(r.body.string()?)?;
            self.fs.getxattr(r.header.nodeid, name, (args.size as usize).min(MAX_XATTR))
        });
        finish(result, reply)
    }

    pub(super) fn listxattr(&self, r: &mut Request<'_, '_>, reply: &Reply<'_, '_>) -> Outcome {
        let result = r.body.take().and_then(|args: GetxattrIn| {
            self.fs.listxattr(r.header.nodeid, (args.size as usize).min(MAX_XATTR))
        });
        finish(result, reply)
    }

    pub(super) fn setxattr(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let args: SetxattrIn = r.body.take()?;
        let kill_sgid = self.long_setxattr.load(Ordering::Relaxed)
            && r.body.take::<SetxattrExt>()?.setxattr_flags & SETXATTR_ACL_KILL_SGID != 0;
        let name = attribute_name(r.body.string()?)?;
        if args.size as usize > MAX_XATTR {
            return Err(Errno::TOOBIG);
        }
        if args.flags & !((libc::XATTR_CREATE | libc::XATTR_REPLACE) as u32) != 0 {
            return Err(Errno::INVAL);
        }
        let value = r.body.bytes(args.size as usize)?;
        self.fs.setxattr(r.header.nodeid, name, value, args.flags, kill_sgid)
    }

    pub(super) fn removexattr(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let name = attribute_name(r.body.string()?)?;
        self.fs.removexattr(r.header.nodeid, name)
    }
}

fn attribute_name(name: &CStr) -> FsResult<&CStr> {
    let bytes = name.to_bytes();
    if bytes.is_empty() || bytes.len() > NAME_MAX {
        return Err(Errno::RANGE);
    }
    let allowed = bytes.starts_with(b"user.")
        || matches!(bytes, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default");
    if allowed { Ok(name) } else { Err(Errno::OPNOTSUPP) }
}

fn finish(result: FsResult<XattrReply>, reply: &Reply<'_, '_>) -> Outcome {
    match result {
        Ok(XattrReply::Size(size)) => reply.payload(&[wire(&GetxattrIn { size, padding: 0 })]),
        Ok(XattrReply::Value(value)) => reply.payload(&[&value]),
        Err(errno) => reply.error(errno),
    }
}
