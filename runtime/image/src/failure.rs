//! What a failure means for what was brought before it.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::{Error, LayerError, RemoteErrorKind};

/// What becomes of the content that a failed pull brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Everything stays for the next try, parts of blobs too.
    All,
    /// Whole blobs and layers stay.
    Whole,
    /// Nothing stays: the image itself is refused.
    Nothing,
}

/// Says it plainly if the disk is full.
pub(crate) fn plain(error: Error, what: &str, root: &Path) -> Error {
    if is_disk_full(&error) && !matches!(error, Error::NoSpace { .. }) {
        return Error::NoSpace { what: what.to_owned(), root: root.to_owned() };
    }
    error
}

/// Goes by the error itself.
pub(crate) fn remains(error: &Error) -> Remains {
    match error {
        Error::NoSpace { .. } => Remains::Whole,
        Error::Remote(error) if error.kind == RemoteErrorKind::Refused => Remains::Nothing,
        Error::Layer {
            source: LayerError::Cancelled | LayerError::Read(_) | LayerError::Entry { .. },
            ..
        }
        | Error::Remote(_)
        | Error::Retries { .. }
        | Error::File { .. }
        | Error::Read(_)
        | Error::Database(_)
        | Error::Cancelled => Remains::All,
        _ => Remains::Nothing,
    }
}

fn is_disk_full(error: &(dyn StdError + 'static)) -> bool {
    let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
    let mut next = Some(error);
    while let Some(error) = next {
        let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if code.is_some_and(|code| full.contains(&code)) {
            return true;
        }
        if let Some(rusqlite::Error::SqliteFailure(failure, _)) = error.downcast_ref() {
            return failure.code == rusqlite::ErrorCode::DiskFull;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn a_full_disk_is_found_below_other_errors() {
        let entry = LayerError::Entry { path: "f".into(), action: "write", source: Errno::NOSPC.into() };
        let error = Error::Layer { layer: Digest::sha256(b""), source: entry };
        let plain_error = plain(error, "layer 0123", Path::new("/store"));
        assert_eq!(
            plain_error.to_string(),
            "no space left on device while writing layer 0123 below /store: free space, or move the store with --root"
        );
        assert_eq!(remains(&plain_error), Remains::Whole);
        let other = Error::File { action: "write", path: "x".into(), source: Errno::IO.into() };
        assert!(matches!(plain(other, "x", Path::new("/")), Error::File { .. }));
    }
}
