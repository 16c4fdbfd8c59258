//! Answers that say no, in the words that people know from Docker, and what may be done about them.
//!
//! The body is the registry's to choose: only a bounded part of it is read, and only printable text of it is shown.

use std::time::Duration;

use sandbox_image::RemoteErrorKind::{self, Denied, NotFound, Refused, Transient};
use serde::Deserialize;

use super::Answer;
use crate::auth::Challenge;
use crate::failure::Failure;
use crate::text::printable;

/// More of an error is not read.
const BODY: u64 = 64 * 1024;
/// Of one text in it, and of how many texts.
const TEXT: usize = 300;
const ERRORS: usize = 3;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    errors: Vec<Entry>,
    /// Token services.
    #[serde(default, alias = "details", alias = "error_description")]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl Answer {
    /// Why this answer is not the one that was hoped for.
    pub(crate) fn into_failure(mut self) -> Failure {
        let status = self.status.as_u16();
        let challenges = Challenge::all(&self.headers);
        let lacks_scope =
            challenges.iter().any(|challenge| challenge.parameter("error") == Some("insufficient_scope"));
        let body = self.document(BODY).unwrap_or_default();
        let (mut code, text) = said(&body);
        let kind = kind(status, code.as_deref());
        let mut message = text.unwrap_or_else(|| {
            let reason = self.status.canonical_reason().unwrap_or("unknown status");
            format!("{} answers {status} {reason}", self.url.origin.authority())
        });
        if status == 401 && code.is_none() {
            message = format!("unauthorized: {message}");
        }
        if status == 401 && lacks_scope {
            code = Some("DENIED".to_owned());
            "denied: requested access to the resource is denied".clone_into(&mut message);
        }
        if status == 429 || code.as_deref() == Some("TOOMANYREQUESTS") {
            if !message.starts_with("toomanyrequests") {
                message = format!("toomanyrequests: {message}");
            }
            message.push_str(&self.rate_limit());
        }
        let retry_after =
            self.header("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
        Failure { code, retry_after, ..Failure::new(kind, message) }
    }

    /// The limit that was met, as far as the registry tells (`ratelimit-limit: 100;w=21600`).
    fn rate_limit(&self) -> String {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let mut told = Vec::new();
        if let Some(limit) = self.header("ratelimit-limit") {
            let (count, rest) = limit.split_once(';').unwrap_or((limit, ""));
            let window = rest.trim().strip_prefix("w=").and_then(number);
            match (number(count), window) {
                (Some(count), Some(window)) => told.push(format!("the limit is {count} in {}", span(window))),
                (Some(count), None) => told.push(format!("the limit is {count}")),
                _ => {}
            }
        }
        let remaining = self.header("ratelimit-remaining").and_then(|text| number(text.split(';').next()?));
        told.extend(remaining.map(|remaining| format!("{remaining} remain")));
        let wait = self.header("retry-after").and_then(number);
        told.push(match wait {
            Some(wait) => format!("try again in {}, or log in with 'sandbox login'", span(wait)),
            None => "try again later, or log in with 'sandbox login'".to_owned(),
        });
        format!(" ({})", told.join("; "))
    }
}

/// The first error's code and what all say, in the form `manifest unknown: manifest unknown`.
fn said(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(document) = serde_json::from_slice::<Document>(body) else {
        return (None, None);
    };
    let code =
        document.errors.first().map(|entry| printable(&entry.code, 64)).filter(|code| !code.is_empty());
    let texts: Vec<String> = document.errors.iter().take(ERRORS).map(Entry::text).collect();
    let text = if texts.is_empty() {
        document.message.map(|message| printable(&message, TEXT)).filter(|message| !message.is_empty())
    } else {
        Some(texts.join("; "))
    };
    (code, text)
}

impl Entry {
    fn text(&self) -> String {
        let code = printable(&self.code, 64).to_ascii_lowercase().replace('_', " ");
        match self.message.as_deref().map(|message| printable(message, TEXT)) {
            Some(message) if !message.is_empty() => format!("{code}: {message}"),
            _ => code,
        }
    }
}

fn kind(status: u16, code: Option<&str>) -> RemoteErrorKind {
    match (status, code) {
        (_, Some("TOOMANYREQUESTS")) | (408 | 425 | 429 | 500 | 502..=504, _) => Transient,
        (401 | 403, _) => Denied,
        (404, _) => NotFound,
        _ => Refused,
    }
}

/// A time that people can grasp.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds.div_ceil(60), "minute"),
        7200..172_800 => (seconds.div_ceil(3600), "hour"),
        _ => (seconds.div_ceil(86400), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_as_docker_does() {
        for (body, code, text) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                Some("MANIFEST_UNKNOWN"),
                Some("manifest unknown: manifest unknown"),
            ),
            (r#"{"errors":[{"code":"A"},{"code":"B","message":"b"}]}"#, Some("A"), Some("a; b: b")),
            (r#"{"details":"incorrect username or password"}"#, None, Some("incorrect username or password")),
            (
                "{\"errors\":[{\"code\":\"X\",\"message\":\"\\u001b[31mred\\r\\n\"}]}",
                Some("X"),
                Some("x: [31mred"),
            ),
            ("<html>", None, None),
            ("{}", None, None),
            ("", None, None),
        ] {
            let (said_code, said_text) = said(body.as_bytes());
            assert_eq!((said_code.as_deref(), said_text.as_deref()), (code, text), "{body}");
        }
        let many = format!(r#"{{"errors":[{}]}}"#, vec![r#"{"code":"X","message":"y"}"#; 1000].join(","));
        assert_eq!(said(many.as_bytes()).1.as_deref(), Some("x: y; x: y; x: y"));
    }

    #[test]
    fn tells_times() {
        for (seconds, text) in [(1, "1 second"), (90, "90 seconds"), (21600, "6 hours"), (864_000, "10 days")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
