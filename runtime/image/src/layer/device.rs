//! Devices in images: which ones are made.

use super::LayerError;
use sandbox_tar::{Entry, Kind};

/// The devices that every container has anyway (`null zero full random urandom tty console ptmx`).
pub(super) fn is_harmless(kind: Kind, device: (u32, u32)) -> bool {
    kind == Kind::CharacterDevice && matches!(device, (1, 3 | 5 | 7 | 8 | 9) | (5, 0..=2))
}

/// Leaves a device out where the container's own `/dev` will be, and refuses it elsewhere.
pub(super) fn skip(entry: &Entry, components: &[&[u8]]) -> Result<(), LayerError> {
    if components.first() == Some(&&b"dev"[..]) && components.len() > 1 {
        return Ok(());
    }
    let letter = if entry.kind == Kind::BlockDevice { 'b' } else { 'c' };
    let (major, minor) = entry.device;
    Err(LayerError::Refused {
        path: String::from_utf8_lossy(&entry.path).into_owned(),
        reason: format!("is a device outside /dev that would reach this machine ({letter} {major}:{minor})"),
    })
}
