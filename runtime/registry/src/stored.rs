//! Logins with what is kept already.

use sandbox_image::RemoteError;

use crate::client::Client;
use crate::credentials::Credential;
use crate::login::{Login, LoginError, domain_of};
use crate::registry::Registry;

impl Client {
    /// Who is logged in at `server` with a password.
    pub fn stored_user(&self, server: &str) -> Result<Option<String>, LoginError> {
        Ok(self.stored(server)?.map(|(user, _)| user))
    }

    /// Logs in at `server` with what is kept for it; `None` if nothing is.
    pub fn login_again(&self, server: &str) -> Result<Option<Login>, LoginError> {
        match self.stored(server)? {
            Some((user, password)) => self.login(server, &user, &password).map(Some),
            None => Ok(None),
        }
    }

    fn stored(&self, server: &str) -> Result<Option<(String, String)>, LoginError> {
        let domain = domain_of(server).map_err(RemoteError::from)?;
        let registry = Registry::of_domain(self.http.clone(), self.credentials.clone(), &domain);
        Ok(match self.credentials.get(registry.key())? {
            Some(Credential::Password { user, password }) => Some((user, password)),
            // A token tells nobody's name, and cannot be typed.
            Some(Credential::Identity { .. }) | None => None,
        })
    }
}
