//! What can go wrong in the engine, as its caller and in the end the user read it.

use std::io;
use std::path::PathBuf;

/// An error of the engine. Its text says what was tried, on what, why it failed and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong; the text is Docker's where Docker has one.
    #[error("{0}")]
    Invalid(String),

    /// `path` could not be `action`ed.
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    /// A system call without a path failed.
    #[error("{action}: {source}")]
    System { action: &'static str, source: io::Error },

    /// The state database refused.
    #[error("state database: {0}")]
    State(#[from] rusqlite::Error),

    /// The database was made by a newer version.
    #[error("{} has schema version {found}, this program knows {known}; use the newer program or another --root", path.display())]
    NewerState { path: PathBuf, found: i64, known: i64 },

    /// Another container has the name.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameInUse { name: String, id: String },

    /// No container of that name or id.
    #[error("No such container: {0}")]
    NoSuchContainer(String),

    /// It has no supervisor.
    #[error("container {0} is not running")]
    NotRunning(String),

    /// No image of that name or id in the store.
    #[error("No such image: {0}")]
    NoSuchImage(String),

    /// The image store refused.
    #[error(transparent)]
    Image(sandbox_image::Error),

    /// A registry did not give or take something. The text is whole.
    #[error(transparent)]
    Registry(#[from] sandbox_image::RemoteError),

    /// Credentials were not taken, or could not be kept.
    #[error(transparent)]
    Login(#[from] sandbox_registry::LoginError),

    /// The configuration file was not taken.
    #[error(transparent)]
    Config(#[from] sandbox_registry::ConfigError),

    /// A part of the installation is missing.
    #[error(
        "{what} not found: looked for {name} in {looked}; reinstall, or set SANDBOX_LIBEXEC to the directory that holds it"
    )]
    NotInstalled { what: &'static str, name: &'static str, looked: String },

    /// `--isolation=vm` cannot work here.
    #[error("cannot use isolation \"vm\": {cause}; {remedy}")]
    VmUnusable { cause: String, remedy: &'static str },

    /// A record that should be JSON is not what this program writes.
    #[error("{what}: {source}")]
    Json { what: String, source: serde_json::Error },
}

/// Result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<sandbox_image::Error> for Error {
    fn from(error: sandbox_image::Error) -> Error {
        match error {
            sandbox_image::Error::NoSuchImage(name) => Error::NoSuchImage(name),
            sandbox_image::Error::Remote(error) => Error::Registry(error),
            other => Error::Image(other),
        }
    }
}

impl Error {
    /// For `map_err` on a failed operation on a path.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Error {
        let path = path.into();
        move |source| Error::Io { action, path, source: source.into() }
    }

    /// For `map_err` on a failed system call.
    pub(crate) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::System { action, source: source.into() }
    }

    /// Shorthand for [`Error::Invalid`].
    pub fn invalid(text: impl Into<String>) -> Error {
        Error::Invalid(text.into())
    }
}
