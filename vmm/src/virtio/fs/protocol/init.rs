//! FUSE_INIT: what guest and server agree on.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Protocol version spoken here.
pub(crate) const KERNEL_VERSION: u32 = 7;
pub(crate) const KERNEL_MINOR_VERSION: u32 = 41;
/// The oldest minor version whose structures are the ones of this module (Linux 4.20, 64 byte `fuse_init_out`).
pub(crate) const MIN_MINOR_VERSION: u32 = 28;

/// The 64 capability bits of INIT, low word `flags`, high word `flags2`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InitFlags(pub u64);

impl InitFlags {
    pub(crate) const ASYNC_READ: Self = Self(1 << 0);
    pub(crate) const POSIX_LOCKS: Self = Self(1 << 1);
    pub(crate) const ATOMIC_O_TRUNC: Self = Self(1 << 3);
    pub(crate) const BIG_WRITES: Self = Self(1 << 5);
    pub(crate) const DONT_MASK: Self = Self(1 << 6);
    pub(crate) const FLOCK_LOCKS: Self = Self(1 << 10);
    pub(crate) const AUTO_INVAL_DATA: Self = Self(1 << 12);
    pub(crate) const DO_READDIRPLUS: Self = Self(1 << 13);
    pub(crate) const READDIRPLUS_AUTO: Self = Self(1 << 14);
    pub(crate) const ASYNC_DIO: Self = Self(1 << 15);
    pub(crate) const WRITEBACK_CACHE: Self = Self(1 << 16);
    pub(crate) const PARALLEL_DIROPS: Self = Self(1 << 18);
    pub(crate) const POSIX_ACL: Self = Self(1 << 20);
    pub(crate) const MAX_PAGES: Self = Self(1 << 22);
    pub(crate) const CACHE_SYMLINKS: Self = Self(1 << 23);
    pub(crate) const SUBMOUNTS: Self = Self(1 << 27);
    pub(crate) const HANDLE_KILLPRIV_V2: Self = Self(1 << 28);
    pub(crate) const SETXATTR_EXT: Self = Self(1 << 29);
    pub(crate) const INIT_EXT: Self = Self(1 << 30);
    pub(crate) const CREATE_SUPP_GROUP: Self = Self(1 << 34);
    pub(crate) const DIRECT_IO_ALLOW_MMAP: Self = Self(1 << 36);
    pub(crate) const ALLOW_IDMAP: Self = Self(1 << 40);

    /// Bits of both.
    #[must_use]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Bits that are in both.
    #[must_use]
    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// `struct fuse_init_in` without the words that newer kernels append.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct InitIn {
    pub major: u32,
    pub minor: u32,
    pub max_readahead: u32,
    pub flags: u32,
}

/// `struct fuse_init_out`.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct InitOut {
    pub major: u32,
    pub minor: u32,
    pub max_readahead: u32,
    pub flags: u32,
    pub max_background: u16,
    pub congestion_threshold: u16,
    pub max_write: u32,
    /// Resolution of time stamps in nanoseconds.
    pub time_gran: u32,
    pub max_pages: u16,
    pub map_alignment: u16,
    pub flags2: u32,
    pub max_stack_depth: u32,
    pub unused: [u32; 6],
}
