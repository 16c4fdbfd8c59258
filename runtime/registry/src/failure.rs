//! Why something asked of a registry failed, with what the retries need to know.

use std::time::Duration;

use sandbox_image::{RemoteError, RemoteErrorKind};

use crate::text::printable;

/// A failure on its way to becoming a [`RemoteError`].
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: RemoteErrorKind,
    pub(crate) message: String,
    /// The registry's error code, such as `MANIFEST_UNKNOWN`.
    pub(crate) code: Option<String>,
    /// No connection came about, in the way that makes another scheme or mirror worth a try.
    pub(crate) unreachable: bool,
    /// What else went wrong on the way here.
    pub(crate) aside: Option<String>,
    /// The registry wants to be left alone for so long.
    pub(crate) retry_after: Option<Duration>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: RemoteErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, unreachable: false, aside: None, retry_after: None }
    }

    /// Refused for good.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(RemoteErrorKind::Refused, message)
    }

    /// Worth another try.
    pub(crate) fn transient(message: impl Into<String>) -> Self {
        Self::new(RemoteErrorKind::Transient, message)
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(RemoteErrorKind::Denied, message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self { unreachable: true, ..Self::transient(message) }
    }

    /// The same, with what was tried in front.
    pub(crate) fn while_trying(self, action: impl std::fmt::Display) -> Self {
        Self { message: format!("cannot {action}: {}", self.message), ..self }
    }

    /// The same, with something more that went wrong.
    pub(crate) fn besides(mut self, what: &str) -> Self {
        self.aside = Some(match self.aside.take() {
            Some(aside) => format!("{aside}; {what}"),
            None => what.to_owned(),
        });
        self
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl From<Failure> for RemoteError {
    fn from(failure: Failure) -> Self {
        let message = match failure.aside {
            Some(aside) => format!("{} ({aside})", failure.message),
            None => failure.message,
        };
        // The last gate before a terminal; whoever made the message may have forgotten.
        Self { kind: failure.kind, message: printable(&message, 4096) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
