//! Following redirects, each step under the rules for places that a registry names.
//!
//! Credentials go to the host that was asked and to nobody it sends us to: blobs come from storage services whose
//! addresses are signed. Refused: more than five steps, circles, the step from https to http, other schemes, and hosts
//! that are nearer to this machine than the registry is.

use ureq::http::{HeaderValue, Method, StatusCode, header};

use super::{Answer, Http, Request};
use crate::failure::{Failure, Result};
use crate::reach::Reach;
use crate::url::{Scheme, Url};

const STEPS: usize = 5;

impl Http {
    /// Asks and follows. `named_by` tells who named the request's URL; none: a person did, in a reference or in the
    /// configuration.
    pub(crate) fn ask(
        &self,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
        named_by: Option<Reach>,
    ) -> Result<Answer> {
        let mut visited = vec![request.url.clone()];
        let mut answer = self.exchange(request, &request.url, authorization, named_by)?;
        let mut reach = answer.reach;
        while request.follows && is_redirect(answer.status) {
            let next = next(request, &answer)?;
            if visited.contains(&next) {
                return Err(refused(&answer.url, "redirects in a circle"));
            }
            if visited.len() > STEPS {
                return Err(refused(&answer.url, &format!("redirects more than {STEPS} times")));
            }
            let back_home = next.origin == request.url.origin;
            let (authorization, named_by) =
                if back_home { (authorization, named_by) } else { (None, Some(reach)) };
            visited.push(next.clone());
            answer = self.exchange(request, &next, authorization, named_by)?;
            reach = reach.min(answer.reach);
            answer.reach = reach;
        }
        Ok(answer)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn next(request: &Request<'_>, answer: &Answer) -> Result<Url> {
    let kept = matches!(answer.status.as_u16(), 307 | 308);
    if request.method != Method::GET && request.method != Method::HEAD && !kept {
        return Err(refused(&answer.url, &format!("redirects a {} request", request.method)));
    }
    named(&answer.url, answer.header(header::LOCATION), "a redirect")
}

/// The URL in a `Location` that came with an answer of `by`.
pub(crate) fn named(by: &Url, location: Option<&str>, what: &str) -> Result<Url> {
    let location = location.ok_or_else(|| refused(by, &format!("sends {what} without a location")))?;
    let url = by.join(location).map_err(|error| refused(by, &format!("sends {what} to {error}")))?;
    if by.origin.scheme == Scheme::Https && url.origin.scheme == Scheme::Http {
        return Err(refused(by, &format!("sends {what} from https to {}", url.shown())));
    }
    Ok(url)
}

fn refused(by: &Url, what: &str) -> Failure {
    Failure::refused(format!("{} {what}, which is refused", by.origin.authority()))
}
