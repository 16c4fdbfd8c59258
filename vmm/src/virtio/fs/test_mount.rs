//! Mounts a server on this host through `/dev/fuse`, so that a real kernel is the client.
//!
//! The mount lives in a mount namespace of the calling thread alone and goes with the thread, whatever becomes
//! of the test.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount,
    unmount,
};
use rustix::thread::UnshareFlags;
use tempfile::TempDir;
use vm_memory::VolatileSlice;

use super::buffers::Buffers;
use super::inodes::Limits;
use super::passthrough::{Passthrough, ShareRoot};
use super::server::{BlockedLock, Outcome, Server};
use crate::config::CacheMode;

const BUFFER: usize = (1 << 20) + 4096;
const THREADS: usize = 3;

/// Gives the calling thread mounts of its own.
pub(crate) fn own_mounts() {
    // SAFETY: of this thread's state only namespace, directory and umask become its own.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
}

/// A share mounted at a directory.
pub(crate) struct Mount {
    pub(crate) at: TempDir,
    threads: Vec<JoinHandle<()>>,
}

impl Mount {
    /// Call after [`own_mounts`].
    pub(crate) fn new(share: &Path, cache: CacheMode, limits: Limits) -> Self {
        let device = Arc::new(
            rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).expect("/dev/fuse"),
        );
        let at = tempfile::tempdir().unwrap();
        attach(&device, at.path());
        let files = Passthrough::new(ShareRoot::open(share).unwrap(), cache, false, limits).unwrap();
        let session = Arc::new(Session {
            server: Server::new(Box::new(files)),
            device,
            blocked: Mutex::new(Vec::new()),
        });
        let threads = (0..THREADS)
            .map(|_| {
                let session = Arc::clone(&session);
                std::thread::spawn(move || session.serve())
            })
            .collect();
        Self { at, threads }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(self.at.path(), UnmountFlags::DETACH).unwrap();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

fn attach(device: &OwnedFd, at: &Path) {
    let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    let set = |key: &str, value: &str| fsconfig_set_string(context.as_fd(), key, value).unwrap();
    set("fd", &device.as_raw_fd().to_string());
    set("rootmode", "40000");
    set("user_id", "0");
    set("group_id", "0");
    fsconfig_set_flag(context.as_fd(), "allow_other").unwrap();
    fsconfig_set_flag(context.as_fd(), "default_permissions").unwrap();
    fsconfig_create(context.as_fd()).unwrap();
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
    move_mount(&mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
}

struct Session {
    server: Server,
    device: Arc<OwnedFd>,
    blocked: Mutex<Vec<BlockedLock>>,
}

impl Session {
    fn serve(&self) {
        let (mut request, mut reply) = (vec![0; BUFFER], vec![0; BUFFER]);
        loop {
            self.retry_locks();
            let len = match rustix::io::read(&*self.device, request.as_mut_slice()) {
                Ok(len) => len,
                Err(rustix::io::Errno::NODEV) => return,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::NOENT) => continue,
                Err(errno) => panic!("/dev/fuse: {errno}"),
            };
            let mut input = Buffers::default();
            input.push(VolatileSlice::from(&mut request[..len]));
            let mut output = Buffers::default();
            output.push(VolatileSlice::from(reply.as_mut_slice()));
            match self.server.handle(&input, &output, &|_| ()) {
                Outcome::Done(0) => {}
                Outcome::Done(len) => self.answer(&reply[..len as usize]),
                Outcome::Blocked(lock) => self.wait_for(lock),
                Outcome::Interrupted(unique) => self.interrupt(unique),
            }
        }
    }

    fn answer(&self, reply: &[u8]) {
        match rustix::io::write(&*self.device, reply) {
            // The request was interrupted or the mount is gone.
            Ok(_) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV) => {}
            Err(errno) => panic!("answer of {} bytes: {errno}", reply.len()),
        }
    }

    fn wait_for(&self, lock: BlockedLock) {
        self.blocked.lock().unwrap().push(lock);
    }

    /// Tried whenever a request comes; the tests' own polling makes them come.
    fn retry_locks(&self) {
        self.blocked.lock().unwrap().retain(|lock| {
            let mut reply = [0; 16];
            let mut output = Buffers::default();
            output.push(VolatileSlice::from(reply.as_mut_slice()));
            let granted = self.server.retry(lock, &output).is_some();
            if granted {
                self.answer(&reply);
            }
            !granted
        });
    }

    fn interrupt(&self, unique: u64) {
        self.blocked.lock().unwrap().retain(|lock| {
            if lock.unique != unique {
                return true;
            }
            let mut reply = [0; 16];
            let mut output = Buffers::default();
            output.push(VolatileSlice::from(reply.as_mut_slice()));
            Server::give_up(lock, rustix::io::Errno::INTR, &output);
            self.answer(&reply);
            false
        });
    }
}
