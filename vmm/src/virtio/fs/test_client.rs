//! A FUSE client for tests: builds raw requests, checks the frame of every reply.

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tempfile::TempDir;
use vm_memory::VolatileSlice;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::buffers::Buffers;
use super::filesystem::FileSystem;
use super::inodes::Limits;
use super::passthrough::{Passthrough, ShareRoot};
use super::protocol::requests::{CreateIn, OpenIn, OpenOut, ReadIn, WriteIn, WriteOut};
use super::protocol::{Attr, AttrOut, EntryOut, InHeader, InitOut, Opcode, OutHeader, ROOT_ID, SetattrIn};
use super::read_only::ReadOnly;
use super::server::{Outcome, Server};
use crate::config::CacheMode;

pub(crate) const LIMITS: Limits = Limits { nodes: 10_000, node_fds: 1000, handles: 100, lock_owners: 100 };

/// A server over a temporary directory and the session of a guest with it.
pub(crate) struct Client {
    pub(crate) server: Server,
    pub(crate) dir: TempDir,
    unique: Cell<u64>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A body of several parts.
pub(crate) fn body(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A name with its NUL.
pub(crate) fn text(name: impl AsRef<[u8]>) -> Vec<u8> {
    [name.as_ref(), b"\0"].concat()
}

impl Client {
    pub(crate) fn new(cache: CacheMode, read_only: bool) -> Self {
        Self::with_limits(cache, read_only, LIMITS)
    }

    pub(crate) fn with_limits(cache: CacheMode, read_only: bool, limits: Limits) -> Self {
        Self::over(tempfile::tempdir().unwrap(), cache, read_only, limits)
    }

    pub(crate) fn over(dir: TempDir, cache: CacheMode, read_only: bool, limits: Limits) -> Self {
        let client = Self::unstarted(dir, cache, read_only, limits);
        client.init(u64::MAX);
        client
    }

    /// Without INIT.
    pub(crate) fn unstarted(dir: TempDir, cache: CacheMode, read_only: bool, limits: Limits) -> Self {
        let root = ShareRoot::open(dir.path()).unwrap();
        let files = Passthrough::new(root, cache, read_only, limits).unwrap();
        let files: Box<dyn FileSystem> =
            if read_only { Box::new(ReadOnly::new(files)) } else { Box::new(files) };
        Self { server: Server::new(files), dir, unique: Cell::new(1), uid: 0, gid: 0 }
    }

    pub(crate) fn init(&self, flags: u64) -> InitOut {
        let words = [7_u32, 41, 1 << 17, flags as u32, (flags >> 32) as u32];
        let mut request = words.as_bytes().to_vec();
        request.resize(64, 0);
        self.ask(Opcode::Init, 0, &request).unwrap()
    }

    /// A path on the host.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sends any bytes with room for any reply; checks that what comes back is a reply to them.
    pub(crate) fn send(&self, request: &[u8], room: usize) -> (Outcome, Vec<u8>) {
        let mut request = request.to_vec();
        let mut reply = vec![0xa5; room];
        let (mut input, mut output) = (Buffers::default(), Buffers::default());
        input.push(VolatileSlice::from(request.as_mut_slice()));
        // The header in a piece of its own, as the guest's driver does it.
        let (head, tail) = reply.split_at_mut(room.min(16));
        output.push(VolatileSlice::from(head));
        output.push(VolatileSlice::from(tail));
        let outcome = self.server.handle(&input, &output, &|_| ());
        let len = match outcome {
            Outcome::Done(len) => len as usize,
            Outcome::Blocked(_) | Outcome::Interrupted(_) => 0,
        };
        assert!(len == 0 || (16..=room).contains(&len), "reply of {len} bytes into {room}");
        reply.truncate(len);
        if len > 0 {
            let header = OutHeader::read_from_prefix(&reply).unwrap().0;
            assert_eq!(header.len as usize, len);
            assert!((-4095..=0).contains(&header.error), "{header:?}");
        }
        (outcome, reply)
    }

    pub(crate) fn request(&self, opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
        self.unique.set(self.unique.get() + 1);
        let header = InHeader {
            len: (size_of::<InHeader>() + body.len()) as u32,
            opcode,
            unique: self.unique.get(),
            nodeid: node,
            uid: self.uid,
            gid: self.gid,
            ..InHeader::default()
        };
        [header.as_bytes(), body].concat()
    }

    pub(crate) fn call(&self, opcode: Opcode, node: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        let request = self.request(opcode as u32, node, body);
        let (outcome, reply) = self.send(&request, 1 << 21);
        assert!(matches!(outcome, Outcome::Done(16..)), "{opcode:?}: {outcome:?}");
        let (header, payload) = OutHeader::read_from_prefix(&reply).unwrap();
        assert_eq!(header.unique, self.unique.get());
        if header.error == 0 {
            return Ok(payload.to_vec());
        }
        assert!(payload.is_empty());
        Err(Errno::from_raw_os_error(-header.error))
    }

    pub(crate) fn ask<T: FromBytes + KnownLayout + Immutable>(
        &self,
        opcode: Opcode,
        node: u64,
        body: &[u8],
    ) -> Result<T, Errno> {
        self.call(opcode, node, body).map(|reply| T::read_from_bytes(&reply).unwrap())
    }

    pub(crate) fn forget(&self, node: u64, count: u64) {
        let request = self.request(Opcode::Forget as u32, node, &count.to_ne_bytes());
        assert!(matches!(self.send(&request, 100).0, Outcome::Done(0)));
    }

    pub(crate) fn lookup(&self, parent: u64, name: &str) -> Result<EntryOut, Errno> {
        self.ask(Opcode::Lookup, parent, &text(name))
    }

    /// The node of a path below the root, each part looked up.
    pub(crate) fn node(&self, path: &str) -> u64 {
        path.split('/').fold(ROOT_ID, |parent, name| match self.lookup(parent, name) {
            Ok(entry) if entry.nodeid != 0 => entry.nodeid,
            result => panic!("{path}: {result:?}"),
        })
    }

    pub(crate) fn attr(&self, node: u64) -> Result<Attr, Errno> {
        self.ask::<AttrOut>(Opcode::Getattr, node, &[0; 16]).map(|out| out.attr)
    }

    pub(crate) fn setattr(&self, node: u64, change: &SetattrIn) -> Result<Attr, Errno> {
        self.ask::<AttrOut>(Opcode::Setattr, node, change.as_bytes()).map(|out| out.attr)
    }

    pub(crate) fn open(&self, node: u64, flags: i32) -> Result<u64, Errno> {
        let request = OpenIn { flags: flags as u32, open_flags: 0 };
        self.ask::<OpenOut>(Opcode::Open, node, request.as_bytes()).map(|out| out.fh)
    }

    pub(crate) fn opendir(&self, node: u64) -> Result<u64, Errno> {
        self.ask::<OpenOut>(Opcode::Opendir, node, &[0; 8]).map(|out| out.fh)
    }

    pub(crate) fn create(&self, parent: u64, name: &str, flags: i32, mode: u32) -> Result<(u64, u64), Errno> {
        let request =
            CreateIn { flags: flags as u32, mode: mode | libc::S_IFREG, umask: 0o022, open_flags: 0 };
        let reply = self.call(Opcode::Create, parent, &body(&[request.as_bytes(), &text(name)]))?;
        let (entry, rest) = EntryOut::read_from_prefix(&reply).unwrap();
        let open = OpenOut::read_from_bytes(rest).unwrap();
        Ok((entry.nodeid, open.fh))
    }

    pub(crate) fn read(&self, node: u64, fh: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        self.call(Opcode::Read, node, ReadIn { fh, offset, size, ..ReadIn::default() }.as_bytes())
    }

    pub(crate) fn write(&self, node: u64, fh: u64, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        let request = WriteIn { fh, offset, size: data.len() as u32, ..WriteIn::default() };
        self.write_as(node, &request, data)
    }

    pub(crate) fn write_as(&self, node: u64, request: &WriteIn, data: &[u8]) -> Result<u32, Errno> {
        self.ask::<WriteOut>(Opcode::Write, node, &body(&[request.as_bytes(), data])).map(|out| out.size)
    }

    /// Names and node ids (0 without `plus`) of one reply, and the position after it.
    pub(crate) fn list(
        &self,
        node: u64,
        fh: u64,
        from: u64,
        size: u32,
        plus: bool,
    ) -> Result<(Vec<(PathBuf, u64)>, u64), Errno> {
        let opcode = if plus { Opcode::Readdirplus } else { Opcode::Readdir };
        let request = ReadIn { fh, offset: from, size, ..ReadIn::default() };
        let reply = self.call(opcode, node, request.as_bytes())?;
        assert!(reply.len() <= size as usize);
        let (mut rest, mut names, mut offset) = (&reply[..], Vec::new(), from);
        while !rest.is_empty() {
            let mut id = 0;
            if plus {
                let (entry, tail) = EntryOut::read_from_prefix(rest).unwrap();
                id = entry.nodeid;
                rest = tail;
            }
            let len = u32::from_ne_bytes(rest[16..20].try_into().unwrap()) as usize;
            offset = u64::from_ne_bytes(rest[8..16].try_into().unwrap());
            names.push((PathBuf::from(OsStr::from_bytes(&rest[24..24 + len])), id));
            rest = &rest[(24 + len).next_multiple_of(8)..];
        }
        Ok((names, offset))
    }
}
