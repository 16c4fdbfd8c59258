//! The registry client: OCI distribution over HTTP, for [`sandbox_image`]'s pulls and pushes.
//!
//! A [`Client`] opens a [`Repository`], which is an [`Origin`](sandbox_image::Origin) to pull from and a
//! [`Target`](sandbox_image::Target) to push to. Mirrors, insecure registries, authorities and patience come from
//! [`RegistriesConfig`], credentials from where Docker keeps them ([`Credentials`]).
//!
//! Everything that registries send is hostile. There is a bound on the length of headers, documents and lists, on how
//! long an answer takes, on how slowly a blob may come, on retries and redirects. Refused: redirects and token services
//! nearer to this machine than the registry is, the step from https to http, other schemes, circles; parts of a blob other
//! than those asked for, blobs of another length, digests that are not those of what came. Credentials go to the registry
//! and its token service, never to where they send us. The messages say which, without control characters.
//!
//! ureq does the HTTP: the callers are threads that read and write, and an asynchronous stack with a runtime below would
//! serve them no better. Names are resolved without the C library, whose resolver is not there in a static binary.

mod auth;
mod client;
mod config;
mod credentials;
mod dns;
mod download;
mod failure;
mod http;
mod login;
mod proxy;
mod reach;
mod registry;
mod repository;
mod retry;
mod search;
mod stored;
mod text;
mod tls;
mod url;

pub use client::Client;
pub use config::{CONFIG_FILE, ConfigError, Insecure, Mirror, RegistriesConfig, Retries, Timeouts};
pub use credentials::{Credentials, CredentialsError};
pub use dns::lookup;
pub use login::{Login, LoginError, Logout};
pub use repository::{Access, ManifestHead, Repository};
pub use search::{Found, SEARCH_LIMIT};

#[cfg(test)]
mod tests;
