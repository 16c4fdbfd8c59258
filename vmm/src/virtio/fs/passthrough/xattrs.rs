//! Extended attributes, by path below `/proc/self/fd`: the calls on descriptors refuse O_PATH, and an inode
//! that is a symlink, fifo or device must not be opened for them.

use std::ffi::CStr;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::{Passthrough, credentials};
use crate::virtio::fs::filesystem::{FsResult, XattrReply};
use crate::virtio::fs::sys::FdName;

impl Passthrough {
    pub(super) fn get_attribute(&self, id: u64, name: &CStr, size: usize) -> FsResult<XattrReply> {
        let node = self.nodes.node(id)?;
        credentials::prepare(self.proc())?;
        let path = FdName::new(node.fd());
        reply(
            size,
            || rustix::fs::getxattr_query(path.as_c_str(), name),
            |room| rustix::fs::getxattr(path.as_c_str(), name, room.as_mut_slice()),
        )
    }

    pub(super) fn list_attributes(&self, id: u64, size: usize) -> FsResult<XattrReply> {
        let node = self.nodes.node(id)?;
        credentials::prepare(self.proc())?;
        let path = FdName::new(node.fd());
        reply(
            size,
            || rustix::fs::listxattr_query(path.as_c_str()),
            |room| rustix::fs::listxattr(path.as_c_str(), room.as_mut_slice()),
        )
    }

    pub(super) fn set_attribute(
        &self,
        id: u64,
        name: &CStr,
        value: &[u8],
        flags: u32,
        kill_sgid: bool,
    ) -> FsResult<()> {
        let node = self.nodes.node(id)?;
        credentials::keep_suidgid(self.proc(), !kill_sgid)?;
        let flags = XattrFlags::from_bits(flags).ok_or(Errno::INVAL)?;
        rustix::fs::setxattr(FdName::new(node.fd()).as_c_str(), name, value, flags)
    }

    pub(super) fn remove_attribute(&self, id: u64, name: &CStr) -> FsResult<()> {
        let node = self.nodes.node(id)?;
        credentials::prepare(self.proc())?;
        rustix::fs::removexattr(FdName::new(node.fd()).as_c_str(), name)
    }
}

fn reply(
    size: usize,
    query: impl FnOnce() -> FsResult<usize>,
    get: impl FnOnce(&mut Vec<u8>) -> FsResult<usize>,
) -> FsResult<XattrReply> {
    if size == 0 {
        return Ok(XattrReply::Size(query()? as u32));
    }
    let mut value = vec![0; size];
    let len = get(&mut value)?;
    value.truncate(len);
    Ok(XattrReply::Value(value))
}
