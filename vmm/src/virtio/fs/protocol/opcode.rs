//! Request numbers.

/// What a request asks for. Numbers that are not listed have no value of this type, so a guest cannot make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub(crate) enum Opcode {
    Lookup = 1,
    Forget = 2,
    Getattr = 3,
    Setattr = 4,
    Readlink = 5,
    Symlink = 6,
    Mknod = 8,
    Mkdir = 9,
    Unlink = 10,
    Rmdir = 11,
    Rename = 12,
    Link = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    Statfs = 17,
    Release = 18,
    Fsync = 20,
    Setxattr = 21,
    Getxattr = 22,
    Listxattr = 23,
    Removexattr = 24,
    Flush = 25,
    Init = 26,
    Opendir = 27,
    Readdir = 28,
    Releasedir = 29,
    Fsyncdir = 30,
    Getlk = 31,
    Setlk = 32,
    Setlkw = 33,
    Access = 34,
    Create = 35,
    Interrupt = 36,
    Bmap = 37,
    Destroy = 38,
    Ioctl = 39,
    Poll = 40,
    NotifyReply = 41,
    BatchForget = 42,
    Fallocate = 43,
    Readdirplus = 44,
    Rename2 = 45,
    Lseek = 46,
    CopyFileRange = 47,
    SetupMapping = 48,
    RemoveMapping = 49,
    Syncfs = 50,
    Tmpfile = 51,
    Statx = 52,
}

impl Opcode {
    /// Every request this protocol version has, by number.
    pub(crate) const ALL: [Self; 50] = [
        Self::Lookup,
        Self::Forget,
        Self::Getattr,
        Self::Setattr,
        Self::Readlink,
        Self::Symlink,
        Self::Mknod,
        Self::Mkdir,
        Self::Unlink,
        Self::Rmdir,
        Self::Rename,
        Self::Link,
        Self::Open,
        Self::Read,
        Self::Write,
        Self::Statfs,
        Self::Release,
        Self::Fsync,
        Self::Setxattr,
        Self::Getxattr,
        Self::Listxattr,
        Self::Removexattr,
        Self::Flush,
        Self::Init,
        Self::Opendir,
        Self::Readdir,
        Self::Releasedir,
        Self::Fsyncdir,
        Self::Getlk,
        Self::Setlk,
        Self::Setlkw,
        Self::Access,
        Self::Create,
        Self::Interrupt,
        Self::Bmap,
        Self::Destroy,
        Self::Ioctl,
        Self::Poll,
        Self::NotifyReply,
        Self::BatchForget,
        Self::Fallocate,
        Self::Readdirplus,
        Self::Rename2,
        Self::Lseek,
        Self::CopyFileRange,
        Self::SetupMapping,
        Self::RemoveMapping,
        Self::Syncfs,
        Self::Tmpfile,
        Self::Statx,
    ];

    /// The request with this number, if there is one.
    pub(crate) fn from_wire(number: u32) -> Option<Self> {
        let at = Self::ALL.binary_search_by_key(&number, |opcode| *opcode as u32).ok()?;
        Self::ALL.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_requests_are_one_to_one() {
        let known: Vec<u32> = (0..10_000).filter(|number| Opcode::from_wire(*number).is_some()).collect();
        assert_eq!(known, Opcode::ALL.map(|opcode| opcode as u32));
        assert_eq!(known.last(), Some(&52));
    }
}
