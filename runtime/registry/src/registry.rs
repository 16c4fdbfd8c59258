//! One registry: where it is, which scheme it speaks, who asks, and requests to it.

use std::sync::{Arc, Mutex, PoisonError};

use sandbox_image::RemoteErrorKind::Denied;
use ureq::http::Method;

use crate::auth::{Authenticator, Scope};
use crate::credentials::{Credential, Credentials, DOCKER_HUB_KEY};
use crate::failure::{Failure, Result};
use crate::http::{Answer, Http, Request};
use crate::reach::Reach;
use crate::url::{Origin, Scheme, split_authority};

/// Docker Hub, as references name it, and the host that serves its images.
pub(crate) const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// A registry that is spoken to.
pub(crate) struct Registry {
    /// As people name it: `docker.io`, `localhost:5000`.
    name: String,
    /// Its name in `config.json`.
    key: String,
    place: Place,
    http: Arc<Http>,
    credentials: Credentials,
    origin: Mutex<Option<Origin>>,
    /// Looked for once; what went wrong is told when somebody misses it.
    credential: Mutex<Option<(Option<Credential>, Option<String>)>>,
    authenticator: Authenticator,
}

enum Place {
    /// As a mirror is configured.
    Origin(Origin),
    /// As a reference has it.
    Domain,
}

impl Registry {
    /// The registry that references name `domain`.
    pub(crate) fn of_domain(http: Arc<Http>, credentials: Credentials, domain: &str) -> Self {
        let key = if domain == DOCKER_HUB { DOCKER_HUB_KEY } else { domain };
        Self::new(http, credentials, domain, key, Place::Domain)
    }

    /// A mirror.
    pub(crate) fn at(http: Arc<Http>, credentials: Credentials, origin: Origin) -> Self {
        let name = origin.authority();
        Self::new(http, credentials, &name, &name, Place::Origin(origin))
    }

    fn new(http: Arc<Http>, credentials: Credentials, name: &str, key: &str, place: Place) -> Self {
        Self {
            name: name.to_owned(),
            key: key.to_owned(),
            place,
            http,
            credentials,
            origin: Mutex::default(),
            credential: Mutex::default(),
            authenticator: Authenticator::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its name in `config.json`.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The longest time between two pieces of a blob.
    pub(crate) fn idle(&self) -> std::time::Duration {
        self.http.idle()
    }

    /// Where the registry is. A host that may go without TLS is asked whether it does.
    pub(crate) fn origin(&self) -> Result<Origin> {
        let mut known = self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = &*known {
            return Ok(origin.clone());
        }
        let origin = match &self.place {
            Place::Origin(origin) => origin.clone(),
            Place::Domain => self.find()?,
        };
        *known = Some(origin.clone());
        Ok(origin)
    }

    fn find(&self) -> Result<Origin> {
        let host = if self.name == DOCKER_HUB { DOCKER_HUB_HOST } else { self.name.as_str() };
        let (host, port) = split_authority(host)
            .ok_or_else(|| Failure::refused(format!("{host:?} is not the name of a host")))?;
        let secure = Origin { scheme: Scheme::Https, host: host.clone(), port: port.unwrap_or(443) };
        if !self.http.is_insecure(&secure)? {
            return Ok(secure);
        }
        let ping = |origin: &Origin| {
            let request = Request { follows: false, ..Request::new(Method::GET, origin.at("/v2/")) };
            self.http.ask(&request, None, None).map(Answer::finish)
        };
        let with_tls = match ping(&secure) {
            Err(failure) if failure.unreachable => failure,
            result => return result.map(|()| secure),
        };
        let clear = Origin { scheme: Scheme::Http, host, port: port.unwrap_or(80) };
        match ping(&clear) {
            Ok(()) => Ok(clear),
            Err(failure) if failure.message == with_tls.message => Err(failure),
            Err(failure) => {
                let message = format!("{}; without TLS: {}", with_tls.message, failure.message);
                Err(Failure { message, ..failure })
            }
        }
    }

    /// One request, with whatever credentials are demanded for `scope`. `named_by` tells how near the registry is, if
    /// it named the URL. Answers that may be another one soon are failures.
    pub(crate) fn ask(
        &self,
        request: &Request<'_>,
        scope: &Scope,
        named_by: Option<Reach>,
    ) -> Result<Answer> {
        if request.url.origin != self.origin()? {
            return passing(self.http.ask(request, None, named_by)?);
        }
        let shown = self.authenticator.authorization(&self.http, scope, &|| self.credential())?;
        let answer = self.http.ask(request, shown.as_ref(), None)?;
        // Only the registry's own answer may demand anything; storage that it sent us to is not for our credentials.
        if answer.status != 401 || answer.url.origin != request.url.origin {
            return passing(answer);
        }
        let authorization = self
            .authenticator
            .after(&self.http, &answer, scope, self.credential().as_ref(), shown.as_ref())
            .map_err(|failure| self.explain(failure))?;
        answer.finish();
        let answer = self.http.ask(request, Some(&authorization), None)?;
        if answer.status == 401 {
            return Err(self.explain(answer.into_failure()));
        }
        passing(answer)
    }

    /// The same, for a URL of the registry's own.
    pub(crate) fn ask_own(&self, request: &Request<'_>, scope: &Scope) -> Result<Answer> {
        self.ask(request, scope, None)
    }

    fn credential(&self) -> Option<Credential> {
        let mut known = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        let (credential, _) = known.get_or_insert_with(|| match self.credentials.get(&self.key) {
            Ok(credential) => (credential, None),
            // As with Docker: what needs no credentials works without them.
            Err(error) => (None, Some(error.to_string())),
        });
        credential.clone()
    }

    fn explain(&self, failure: Failure) -> Failure {
        let known = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((_, Some(error))) if failure.kind == Denied => failure.besides(error),
            _ => failure,
        }
    }
}

fn passing(answer: Answer) -> Result<Answer> {
    match answer.status.as_u16() {
        408 | 425 | 429 | 500..=599 => Err(answer.into_failure()),
        _ => Ok(answer),
    }
}
