//! Getting tokens from a registry's token service (distribution's token and OAuth2 specifications).

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{HeaderValue, Method, header};

use super::{Scope, basic};
use crate::credentials::Credential;
use crate::failure::{Failure, Result};
use crate::http::{Http, Payload, Request};
use crate::reach::Reach;
use crate::url::{Url, escape};

const CLIENT: &str = "sandbox";
const DOCUMENT: u64 = 1 << 20;
/// More does not fit into a header.
const TOKEN: usize = 32 * 1024;
/// As the specification has it when nothing is said.
const LIFETIME: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24);
/// A token that ends while it is on its way is of no use.
const MARGIN: Duration = Duration::from_secs(10);

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenService {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    /// How near the registry is that named the service; none: it is the registry itself.
    pub(super) named_by: Option<Reach>,
}

/// A token, and what may be asked for another one with.
pub(crate) struct Token {
    pub(super) authorization: HeaderValue,
    pub(super) until: Instant,
    pub(super) identity: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<String>,
}

impl TokenService {
    /// A token for `scope`. `offline` asks for one that can be kept instead of the password.
    pub(super) fn token(
        &self,
        http: &Http,
        scope: &Scope,
        credential: Option<&Credential>,
        offline: bool,
    ) -> Result<Token> {
        let action = || format!("get a token from {}", self.realm.origin.authority());
        let fetched = match credential {
            Some(Credential::Identity { token }) => self.exchange(http, scope, token),
            Some(Credential::Password { user, password }) => {
                self.get(http, scope, Some((user, password)), offline)
            }
            None => self.get(http, scope, None, false),
        };
        fetched.map_err(|failure| failure.while_trying(action()))
    }

    fn get(
        &self,
        http: &Http,
        scope: &Scope,
        login: Option<(&String, &String)>,
        offline: bool,
    ) -> Result<Token> {
        let mut url = self.realm.clone();
        if let Some(service) = &self.service {
            url = url.with_query("service", &escape(service));
        }
        for part in scope.parts() {
            url = url.with_query("scope", &escape(part));
        }
        let mut authorization = None;
        if let Some((user, password)) = login {
            url = url.with_query("account", &escape(user));
            authorization = Some(basic(user, password)?);
        }
        if offline {
            url = url.with_query("client_id", CLIENT).with_query("offline_token", "true");
        }
        self.fetch(http, &Request::get(url), authorization.as_ref())
    }

    /// An identity token for an access token.
    fn exchange(&self, http: &Http, scope: &Scope, identity: &str) -> Result<Token> {
        let mut form =
            format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={}", escape(identity));
        for (name, value) in [("service", self.service.clone()), ("scope", Some(scope.joined()))] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let _ = write!(form, "&{name}={}", escape(&value));
            }
        }
        // What is in the form is for this service; a redirect would take it along.
        let request = Request { follows: false, ..Request::new(Method::POST, self.realm.clone()) }
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .payload(Payload::Bytes(form.as_bytes()));
        self.fetch(http, &request, None)
    }

    fn fetch(
        &self,
        http: &Http,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Token> {
        let mut answer = http.ask(request, authorization, self.named_by)?;
        if !answer.status.is_success() {
            return Err(answer.into_failure());
        }
        let bytes = answer.document(DOCUMENT)?;
        let invalid = |reason: &str| Failure::refused(format!("its answer {reason}"));
        // The parser's message would quote what it read.
        let document: Document = serde_json::from_slice(&bytes).map_err(|_| invalid("is not a token's"))?;
        let text = [document.token, document.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.is_empty())
            .ok_or_else(|| invalid("has no token"))?;
        if text.len() > TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("has a token that fits into no header"));
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {text}"))
            .map_err(|_| invalid("has a token that fits into no header"))?;
        authorization.set_sensitive(true);
        let lifetime = document.expires_in.as_ref().and_then(serde_json::Value::as_f64);
        let lifetime = lifetime.filter(|seconds| (0.0..1e9).contains(seconds)).map(Duration::from_secs_f64);
        Ok(Token {
            authorization,
            until: Instant::now()
                + lifetime.unwrap_or(LIFETIME).clamp(LIFETIME, LONGEST).saturating_sub(MARGIN),
            identity: document.refresh_token.filter(|token| !token.is_empty()),
        })
    }
}
