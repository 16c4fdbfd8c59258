//! The host's random bytes for the guest's pool: what makes two guests of one template differ.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

/// Bytes of one `RNDADDENTROPY`.
const MAX: usize = 512;

nix::ioctl_write_ptr_bad!(
    /// `RNDADDENTROPY` of linux/random.h: mixes `buf` in and credits `entropy_count` bits.
    add_entropy,
    nix::request_code_write!(b'R', 0x03, 2 * size_of::<libc::c_int>()),
    PoolInfo
);
nix::ioctl_none!(
    /// `RNDRESEEDCRNG` of linux/random.h: what was mixed in counts from the next byte on.
    reseed,
    b'R',
    0x07
);

/// `struct rand_pool_info` with room for [`MAX`] bytes.
#[repr(C)]
struct PoolInfo {
    entropy_count: libc::c_int,
    buf_size: libc::c_int,
    buf: [u8; MAX],
}

/// Mixes `bytes` into the kernel's pool, credits them in full and reseeds.
///
/// # Errors
/// More than 512 bytes; what the kernel says.
pub(super) fn credit(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut info = PoolInfo {
        entropy_count: 8 * bytes.len() as libc::c_int,
        buf_size: bytes.len() as libc::c_int,
        buf: [0; MAX],
    };
    info.buf
        .get_mut(..bytes.len())
        .ok_or_else(|| format!("add entropy: {} bytes are more than {MAX}", bytes.len()))?
        .copy_from_slice(bytes);
    let pool: OwnedFd = rustix::fs::open("/dev/urandom", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("open /dev/urandom: {error}"))?;
    // SAFETY: `info` is what the kernel reads for this request, and lives for the call.
    unsafe { add_entropy(pool.as_raw_fd(), &raw const info) }
        .map_err(|error| format!("add entropy: {error}"))?;
    // SAFETY: the request takes no argument.
    unsafe { reseed(pool.as_raw_fd()) }.map_err(|error| format!("reseed the random generator: {error}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_kernels() {
        // _IOW('R', 0x03, int[2]) and _IO('R', 0x07).
        assert_eq!(nix::request_code_write!(b'R', 0x03, 2 * size_of::<libc::c_int>()), 0x4008_5203);
        assert_eq!(nix::request_code_none!(b'R', 0x07), 0x5207);
    }

    #[test]
    fn too_much_is_refused_and_nothing_is_nothing() {
        assert_eq!(credit(&[]), Ok(()));
        assert!(credit(&[1; MAX + 1]).unwrap_err().contains("513 bytes"));
    }
}
