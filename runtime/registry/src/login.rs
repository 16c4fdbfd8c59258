//! `login` and `logout`: credentials are tried at the registry before they are kept.

use sandbox_image::RemoteError;
use ureq::http::Method;

use crate::auth::Authenticator;
use crate::client::Client;
use crate::credentials::{Credential, CredentialsError, Kept};
use crate::failure::{Failure, Result};
use crate::http::Request;
use crate::registry::{DOCKER_HUB, Registry};
use crate::text::printable;
use crate::url::split_authority;

/// Why a login or logout failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The registry did not take the credentials.
    #[error(transparent)]
    Registry(#[from] RemoteError),
    /// They could not be kept, or not be removed.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// A login, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// For stderr: who else can read what was kept.
    pub warning: Option<String>,
    /// For stdout: `Login Succeeded`.
    pub status: &'static str,
}

/// A logout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logout {
    /// The registry, as Docker says it: `Removing login credentials for SERVER`.
    pub server: String,
    /// False: there was nothing to remove.
    pub removed: bool,
}

impl Client {
    /// Logs in at `server` (`ghcr.io`, `localhost:5000`, a URL of either; empty for Docker Hub) and keeps the credentials
    /// where Docker would. A registry that gives out identity tokens gets to see the password only now.
    ///
    /// # Errors
    /// Nothing is kept if the registry does not take the credentials.
    pub fn login(&self, server: &str, user: &str, password: &str) -> std::result::Result<Login, LoginError> {
        let domain = domain_of(server).map_err(RemoteError::from)?;
        let registry = Registry::of_domain(self.http.clone(), self.credentials.clone(), &domain);
        let credential = Credential::Password { user: user.to_owned(), password: password.to_owned() };
        let identity = self
            .patience
            .run(|| self.verify(&registry, &credential))
            .map_err(|failure| failure.while_trying(format!("log in to {domain}")).into())
            .map_err(LoginError::Registry)?;
        let kept = match identity {
            Some(token) => Credential::Identity { token },
            None => credential,
        };
        let warning = match self.credentials.keep(registry.key(), user, &kept)? {
            Kept::WithHelper => None,
            Kept::InFile(path) => Some(format!(
                "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
                 Configure a credential helper to remove this warning. See\n\
                 https://docs.docker.com/go/credential-store/\n",
                path.display()
            )),
        };
        self.forget();
        Ok(Login { warning, status: "Login Succeeded" })
    }

    /// Removes what is kept for `server`.
    pub fn logout(&self, server: &str) -> std::result::Result<Logout, LoginError> {
        let domain = domain_of(server).map_err(RemoteError::from)?;
        let registry = Registry::of_domain(self.http.clone(), self.credentials.clone(), &domain);
        let removed = self.credentials.erase(registry.key())?;
        self.forget();
        Ok(Logout { server: registry.key().to_owned(), removed })
    }

    /// Succeeds if the registry takes `credential`; with a token to be kept in its place if there is one.
    fn verify(&self, registry: &Registry, credential: &Credential) -> Result<Option<String>> {
        let ping = Request { follows: false, ..Request::new(Method::GET, registry.origin()?.at("/v2/")) };
        let answer = self.http.ask(&ping, None, None)?;
        if answer.status.is_success() {
            // It lets everybody in; there is nothing to verify.
            return Ok(None);
        }
        if answer.status != 401 {
            return Err(answer.into_failure());
        }
        let (authorization, identity) = Authenticator::verify(&self.http, &answer, credential)?;
        answer.finish();
        let answer = self.http.ask(&ping, Some(&authorization), None)?;
        if answer.status == 401 {
            return Err(Failure::denied("unauthorized: incorrect username or password"));
        }
        if !answer.status.is_success() {
            return Err(answer.into_failure());
        }
        answer.finish();
        Ok(identity)
    }
}

/// The registry's name in references.
pub(crate) fn domain_of(server: &str) -> Result<String> {
    let name = server.split_once("://").map_or(server, |(_, rest)| rest);
    let name = name.split('/').next().unwrap_or_default();
    match name {
        "" | DOCKER_HUB | "index.docker.io" | "registry-1.docker.io" => Ok(DOCKER_HUB.to_owned()),
        name if split_authority(name).is_some() => Ok(name.to_owned()),
        _ => {
            let shown = printable(server, 200);
            Err(Failure::refused(format!("{shown:?} is not a registry: write HOST or HOST:PORT")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_people_write() {
        for (server, domain) in [
            ("", "docker.io"),
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("ghcr.io", "ghcr.io"),
            ("http://localhost:5000/v2/", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(domain_of(server).unwrap(), domain);
        }
        for server in ["a b", "user@host", "host:port"] {
            assert!(domain_of(server).is_err(), "{server}");
        }
    }
}
