//! Pull and push: the store on this side, a registry on the other.

use std::io::Read;
use std::path::Path;

use sandbox_image::{PullEvent, PullOptions, Pulled, PushEvent, PushOptions, Pushed, Reference, RemoteError};
use sandbox_registry::{Access, Client, Credentials, Found, Login, Logout};

use crate::config::Config;
use crate::engine::Engine;
use crate::error::Result;

/// Registries as the configuration and the user's credentials have them. Nothing of it is needed to run an image that is
/// here, so it is opened by those who pull, push or ask.
#[derive(Debug)]
pub struct Registries {
    client: Client,
}

impl Registries {
    /// With the configuration of the given file.
    pub fn open(config: &Path) -> Result<Registries> {
        Ok(Registries::new(Config::load(config)?))
    }

    pub fn new(config: Config) -> Registries {
        Registries { client: Client::new(config.registries, Credentials::from_environment()) }
    }

    /// The tags that a repository has at its registry.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>, RemoteError> {
        self.client.repository(reference, Access::Pull).tags()
    }

    /// Repositories that match a term.
    pub fn search(&self, term: &str, limit: usize) -> Result<Vec<Found>> {
        Ok(self.client.search(term, limit)?)
    }

    pub fn login(&self, server: &str, user: &str, password: &str) -> Result<Login> {
        Ok(self.client.login(server, user, password)?)
    }

    /// Who is logged in at a server.
    pub fn stored_user(&self, server: &str) -> Result<Option<String>> {
        Ok(self.client.stored_user(server)?)
    }

    /// Logs in with what is kept for a server; `None` if nothing is.
    pub fn login_again(&self, server: &str) -> Result<Option<Login>> {
        Ok(self.client.login_again(server)?)
    }

    /// What an URL leads to, for `import`.
    pub fn download(&self, url: &str) -> Result<Box<dyn Read + Send>> {
        Ok(self.client.download(url)?)
    }

    pub fn logout(&self, server: &str) -> Result<Logout> {
        Ok(self.client.logout(server)?)
    }
}

impl Engine {
    /// Brings the image of that name into the store.
    pub fn pull(
        &self,
        registries: &Registries,
        reference: &Reference,
        options: &PullOptions,
        progress: &mut dyn FnMut(PullEvent),
    ) -> Result<Pulled> {
        let origin = registries.client.repository(reference, Access::Pull);
        Ok(self.store()?.pull(&self.connection, &origin, reference, options, progress)?)
    }

    /// Sends the image that has this name to the registry of the name.
    pub fn push(
        &self,
        registries: &Registries,
        reference: &Reference,
        options: &PushOptions,
        progress: &mut dyn FnMut(PushEvent),
    ) -> Result<Pushed> {
        let target = registries.client.repository(reference, Access::PullPush);
        Ok(self.store()?.push(&self.connection, &target, reference, options, progress)?)
    }

    /// The names that images here have in the repository of `reference`.
    pub fn names_in(&self, reference: &Reference) -> Result<Vec<Reference>> {
        Ok(self.store()?.tags(&self.connection, &reference.repository())?)
    }
}
