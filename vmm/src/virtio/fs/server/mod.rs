//! Decodes requests, calls the [`FileSystem`], encodes replies.
//!
//! Refuses: requests whose header disagrees with the memory they came in, unknown numbers (ENOSYS), anything
//! before INIT (EIO), bodies that are larger than any request can be. Nothing a guest sends makes it panic,
//! and it allocates at most one request's bounded size.

mod data;
mod directory;
mod locks;
mod metadata;
mod namespace;
mod reply;
mod session;
mod xattr;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::buffers::Buffers;
use super::filesystem::{Context, Delay, FileSystem, FsResult, LockRequest};
use super::protocol::header::IN_HEADER_LEN;
use super::protocol::requests::WriteIn;
use super::protocol::{InHeader, MAX_XATTR, Message, Opcode, extension};
use reply::Reply;

/// The largest body that is copied out: an xattr value with its name and headers (two names and a link target
/// are smaller). Data of WRITE is never copied.
const MAX_BODY: usize = MAX_XATTR + 4096;

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The reply is written, this many bytes of it; 0 for a request that has none.
    Done(u32),
    /// A lock that is not free yet: [`Server::retry`] it, or [`Server::interrupt`] it.
    Blocked(BlockedLock),
    /// FUSE_INTERRUPT: the request with this number shall not wait any longer.
    Interrupted(u64),
}

/// A SETLKW that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockedLock {
    pub unique: u64,
    pub request: LockRequest,
}

/// A FUSE server for one file system.
pub(crate) struct Server {
    fs: Box<dyn FileSystem>,
    initialized: AtomicBool,
    /// Whether SETXATTR has its longer form (FUSE_SETXATTR_EXT).
    long_setxattr: AtomicBool,
    /// A lock may have been released since somebody last asked.
    released: AtomicBool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("initialized", &self.initialized).finish_non_exhaustive()
    }
}

/// A request that has been taken apart.
struct Request<'a, 'm> {
    header: InHeader,
    context: Context<'a>,
    body: Message<'a>,
    input: &'a Buffers<'m>,
}

impl Server {
    pub(crate) fn new(fs: Box<dyn FileSystem>) -> Self {
        Self {
            fs,
            initialized: AtomicBool::new(false),
            long_setxattr: AtomicBool::new(false),
            released: AtomicBool::new(false),
        }
    }

    /// Ends the session as FUSE_DESTROY does.
    pub(crate) fn reset(&self) {
        self.initialized.store(false, Ordering::SeqCst);
        self.fs.destroy();
    }

    /// Whether a lock may have been released since the last call.
    pub(crate) fn take_released(&self) -> bool {
        self.released.load(Ordering::Relaxed) && self.released.swap(false, Ordering::AcqRel)
    }

    /// Serves the request in `input`, writing the reply into `output`. `delay` is called before the request
    /// waits for a disk or moves much data.
    pub(crate) fn handle(&self, input: &Buffers<'_>, output: &Buffers<'_>, delay: &dyn Fn(Delay)) -> Outcome {
        let mut raw = [0; IN_HEADER_LEN];
        if !input.read_at(0, &mut raw) {
            return Outcome::Done(0);
        }
        let Ok(header) = InHeader::read_from_bytes(&raw) else { return Outcome::Done(0) };
        let reply = Reply::new(output, header.unique);
        let Some(opcode) = Opcode::from_wire(header.opcode) else { return reply.error(Errno::NOSYS) };
        let mut scratch = Vec::new();
        match self.decode(header, opcode, input, &mut scratch, delay) {
            Ok(request) => self.dispatch(opcode, request, &reply),
            Err(_) if matches!(opcode, Opcode::Forget | Opcode::BatchForget) => Outcome::Done(0),
            Err(errno) => reply.error(errno),
        }
    }

    fn decode<'a, 'm>(
        &self,
        header: InHeader,
        opcode: Opcode,
        input: &'a Buffers<'m>,
        scratch: &'a mut Vec<u8>,
        delay: &'a dyn Fn(Delay),
    ) -> FsResult<Request<'a, 'm>> {
        let len = header.len as usize;
        if len < IN_HEADER_LEN || len > input.len() {
            return Err(Errno::INVAL);
        }
        let session = matches!(opcode, Opcode::Init | Opcode::Forget | Opcode::BatchForget);
        if !session && !self.initialized.load(Ordering::Acquire) {
            return Err(Errno::IO);
        }
        // The data of a WRITE stays where it is.
        let copied = len - IN_HEADER_LEN;
        let copied = if opcode == Opcode::Write { copied.min(size_of::<WriteIn>()) } else { copied };
        if copied > MAX_BODY {
            return Err(Errno::INVAL);
        }
        scratch.resize(copied, 0);
        if !input.read_at(IN_HEADER_LEN, scratch) {
            return Err(Errno::INVAL);
        }
        let extensions = usize::from(header.total_extlen) * 8;
        let (body, extensions) = if extensions == 0 || opcode == Opcode::Write {
            (scratch.as_slice(), &[][..])
        } else {
            scratch.split_at(copied.checked_sub(extensions).ok_or(Errno::INVAL)?)
        };
        let supplementary_group =
            if extensions.is_empty() { None } else { extension::supplementary_group(extensions)? };
        let context = Context { uid: header.uid, gid: header.gid, supplementary_group, delay };
        Ok(Request { header, context, body: Message::new(body), input })
    }

    fn dispatch(&self, opcode: Opcode, mut request: Request<'_, '_>, reply: &Reply<'_, '_>) -> Outcome {
        let r = &mut request;
        match opcode {
            Opcode::Init => reply.finish(self.init(r)),
            Opcode::Destroy => {
                self.reset();
                reply.ok()
            }
            Opcode::Forget => {
                self.forget(r);
                Outcome::Done(0)
            }
            Opcode::BatchForget => {
                self.batch_forget(r);
                Outcome::Done(0)
            }
            Opcode::Interrupt => Self::interrupt_request(r, reply),
            Opcode::Lookup => reply.finish(self.lookup(r)),
            Opcode::Getattr => reply.finish(self.getattr(r)),
            Opcode::Statx => reply.finish(self.statx(r)),
            Opcode::Setattr => reply.finish(self.setattr(r)),
            Opcode::Readlink => reply.finish_bytes(self.fs.readlink(r.header.nodeid)),
            Opcode::Statfs => reply.finish(self.fs.statfs(r.header.nodeid)),
            Opcode::Symlink => reply.finish(self.symlink(r)),
            Opcode::Mknod => reply.finish(self.mknod(r)),
            Opcode::Mkdir => reply.finish(self.mkdir(r)),
            Opcode::Unlink => reply.finish_empty(self.unlink(r)),
            Opcode::Rmdir => reply.finish_empty(self.rmdir(r)),
            Opcode::Rename => reply.finish_empty(self.rename(r)),
            Opcode::Rename2 => reply.finish_empty(self.rename2(r)),
            Opcode::Link => reply.finish(self.link(r)),
            Opcode::Create => reply.finish(self.create(r)),
            Opcode::Tmpfile => reply.finish(self.tmpfile(r)),
            Opcode::Open => reply.finish(self.open(r)),
            Opcode::Read => self.read(r, reply),
            Opcode::Write => reply.finish(self.write(r)),
            Opcode::Flush => reply.finish_empty(self.flush(r)),
            Opcode::Release => reply.finish_empty(self.release(r)),
            Opcode::Fsync => reply.finish_empty(self.fsync(r)),
            Opcode::Fallocate => reply.finish_empty(self.fallocate(r)),
            Opcode::Lseek => reply.finish(self.lseek(r)),
            Opcode::CopyFileRange => reply.finish(self.copy_file_range(r)),
            Opcode::Opendir => reply.finish(self.opendir(r)),
            Opcode::Readdir => self.readdir(r, false, reply),
            Opcode::Readdirplus => self.readdir(r, true, reply),
            Opcode::Releasedir => reply.finish_empty(self.releasedir(r)),
            Opcode::Fsyncdir => reply.finish_empty(self.fsyncdir(r)),
            Opcode::Getxattr => self.getxattr(r, reply),
            Opcode::Listxattr => self.listxattr(r, reply),
            Opcode::Setxattr => reply.finish_empty(self.setxattr(r)),
            Opcode::Removexattr => reply.finish_empty(self.removexattr(r)),
            Opcode::Syncfs => reply.finish_empty(self.syncfs(r)),
            Opcode::Getlk => reply.finish(self.getlk(r)),
            Opcode::Setlk => reply.finish_empty(self.setlk(r)),
            Opcode::Setlkw => self.setlkw(r, reply),
            // The guest's kernel checks permissions itself (default_permissions), takes a missing POLL as
            // "always ready" and a missing BMAP and IOCTL as "not on this file system".
            Opcode::Access
            | Opcode::Poll
            | Opcode::Bmap
            | Opcode::NotifyReply
            | Opcode::SetupMapping
            | Opcode::RemoveMapping
            | Opcode::Ioctl => reply.error(self.fs.unsupported()),
        }
    }
}

/// The bytes of a fixed reply.
fn wire<T: IntoBytes + zerocopy::Immutable>(value: &T) -> &[u8] {
    value.as_bytes()
}
