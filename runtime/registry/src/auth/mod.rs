//! Showing a registry who asks: what its challenges demand, with the credentials that are for it and nobody else.
//!
//! A password or an identity token goes to the registry itself (Basic) or to the token service that it names. The service
//! of a registry that speaks TLS must speak it too; one in clear text is believed only where clear text is permitted. It
//! must not be nearer to this machine than the registry. The token goes to the registry alone.

mod challenge;
mod scope;
mod token;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::http::HeaderValue;

pub(crate) use challenge::Challenge;
pub(crate) use scope::Scope;
use token::{Token, TokenService};

use crate::credentials::Credential;
use crate::failure::{Failure, Result};
use crate::http::{Answer, Http};
use crate::text::printable;
use crate::url::{Origin, Scheme, Url};

/// Repositories that one process asks for at one registry, and some.
const TOKENS: usize = 1024;

/// What one registry has demanded so far, and what it got.
#[derive(Default)]
pub(crate) struct Authenticator {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    demand: Option<Demand>,
    tokens: HashMap<Scope, Token>,
}

#[derive(Clone)]
enum Demand {
    Basic(Origin),
    Bearer(TokenService),
}

impl Authenticator {
    /// What to show without being asked, if it is known by now.
    pub(crate) fn authorization(
        &self,
        http: &Http,
        scope: &Scope,
        credential: &dyn Fn() -> Option<Credential>,
    ) -> Result<Option<HeaderValue>> {
        let mut state = self.state();
        match state.demand.clone() {
            None => Ok(None),
            Some(demand) => state.satisfy(http, &demand, scope, credential().as_ref()).map(Some),
        }
    }

    /// What to show after `refusal`, an answer 401 to a request that showed `shown`.
    pub(crate) fn after(
        &self,
        http: &Http,
        refusal: &Answer,
        scope: &Scope,
        credential: Option<&Credential>,
        shown: Option<&HeaderValue>,
    ) -> Result<HeaderValue> {
        let demand = demand(http, refusal, credential)?;
        let mut state = self.state();
        if state.tokens.get(scope).is_some_and(|token| Some(&token.authorization) == shown) {
            state.tokens.remove(scope);
        }
        let authorization = state.satisfy(http, &demand, scope, credential)?;
        state.demand = Some(demand);
        Ok(authorization)
    }

    /// Whether `refusal`'s demand is met by `credential`, and the identity token that may be kept in its place.
    pub(crate) fn verify(
        http: &Http,
        refusal: &Answer,
        credential: &Credential,
    ) -> Result<(HeaderValue, Option<String>)> {
        match demand(http, refusal, Some(credential))? {
            Demand::Basic(origin) => Ok((basic_of(Some(credential), &origin)?, None)),
            Demand::Bearer(service) => {
                let token = service.token(http, &Scope::default(), Some(credential), true)?;
                Ok((token.authorization, token.identity))
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Held while a token is fetched: whoever else needs it waits for it instead of fetching its own.
    fn satisfy(
        &mut self,
        http: &Http,
        demand: &Demand,
        scope: &Scope,
        credential: Option<&Credential>,
    ) -> Result<HeaderValue> {
        let service = match demand {
            Demand::Basic(origin) => return basic_of(credential, origin),
            Demand::Bearer(service) => service,
        };
        let now = Instant::now();
        if let Some(token) = self.tokens.get(scope).filter(|token| token.until > now) {
            return Ok(token.authorization.clone());
        }
        let token = service.token(http, scope, credential, false)?;
        let authorization = token.authorization.clone();
        self.tokens.retain(|_, token| token.until > now);
        if self.tokens.len() < TOKENS {
            self.tokens.insert(scope.clone(), token);
        }
        Ok(authorization)
    }
}

/// The demand of an answer 401 that can be met.
fn demand(http: &Http, refusal: &Answer, credential: Option<&Credential>) -> Result<Demand> {
    let challenges = Challenge::all(&refusal.headers);
    let host = refusal.url.origin.authority();
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.is("bearer")) {
        return token_service(http, refusal, bearer).map(Demand::Bearer);
    }
    if challenges.iter().any(|challenge| challenge.is("basic")) {
        basic_of(credential, &refusal.url.origin)?;
        return Ok(Demand::Basic(refusal.url.origin.clone()));
    }
    Err(Failure::denied(format!(
        "unauthorized: authentication required, but {host} does not say how (no Bearer or Basic challenge)"
    )))
}

fn token_service(http: &Http, refusal: &Answer, bearer: &Challenge) -> Result<TokenService> {
    let own = &refusal.url.origin;
    let refused = |what: String| Failure::refused(format!("{} {what}", own.authority()));
    let realm = bearer
        .parameter("realm")
        .ok_or_else(|| refused("demands a token and does not say where to get it (no realm)".to_owned()))?;
    let realm = Url::parse(realm)
        .map_err(|error| refused(format!("names a token service that is refused: {error}")))?;
    let clear = realm.origin.scheme == Scheme::Http && realm.origin != *own;
    if clear && (own.scheme == Scheme::Https || !http.is_insecure(&realm.origin)?) {
        return Err(refused(format!(
            "names a token service without TLS, {}; credentials are not sent there",
            realm.shown()
        )));
    }
    let named_by = (realm.origin != *own).then_some(refusal.reach);
    let service = bearer.parameter("service").map(|service| printable(service, 300));
    Ok(TokenService { realm, service, named_by })
}

fn basic_of(credential: Option<&Credential>, origin: &Origin) -> Result<HeaderValue> {
    match credential {
        Some(Credential::Password { user, password }) => basic(user, password),
        _ => Err(Failure::denied(format!(
            "unauthorized: authentication required: no basic auth credentials for {0}; log in with 'sandbox login {0}'",
            origin.authority()
        ))),
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Failure::denied("user name and password are too long for a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
