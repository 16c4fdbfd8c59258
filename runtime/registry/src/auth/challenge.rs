//! `WWW-Authenticate`: what a server wants to see (RFC 9110, 11.6.1).
//!
//! One header may hold several challenges, separated by the same commas that separate their parameters. What cannot be
//! read ends the reading; challenges before it count.

use ureq::http::{HeaderMap, header};

/// Of all headers together.
const LENGTH: usize = 16 * 1024;
const CHALLENGES: usize = 8;
const PARAMETERS: usize = 16;

/// A demand for credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Lower case.
    scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(crate) fn is(&self, scheme: &str) -> bool {
        self.scheme == scheme
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    /// All challenges of an answer, in order.
    pub(crate) fn all(headers: &HeaderMap) -> Vec<Self> {
        let mut left = LENGTH;
        let mut challenges = Vec::new();
        for value in headers.get_all(header::WWW_AUTHENTICATE) {
            let Some(rest) = left.checked_sub(value.len()) else { break };
            left = rest;
            read(&String::from_utf8_lossy(value.as_bytes()), &mut challenges);
        }
        challenges
    }
}

fn read(text: &str, challenges: &mut Vec<Challenge>) {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((word, after)) = token(rest) else { return };
        let spaced = after.trim_start_matches([' ', '\t']);
        match spaced.strip_prefix('=') {
            // A parameter of the challenge before.
            Some(after) if !spaced.starts_with("==") => {
                let Some((value, after)) = value(after.trim_start_matches([' ', '\t'])) else { return };
                let Some(challenge) = challenges.last_mut() else { return };
                if challenge.parameters.len() < PARAMETERS {
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            _ if challenges.len() == CHALLENGES => return,
            _ => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = spaced;
            }
        }
    }
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A quoted string, or what is not quoted up to the next comma or space.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t', '"']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderValue;

    fn all(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Challenge::all(&headers)
    }

    fn shown(values: &[&str]) -> String {
        let challenges = all(values).into_iter().map(|challenge| {
            let parameters: Vec<String> =
                challenge.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}[{}]", challenge.scheme, parameters.join(";"))
        });
        challenges.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reads_what_registries_send() {
        for (values, expected) in [
            (
                &[
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                ][..],
                "bearer[realm=https://auth.docker.io/token;service=registry.docker.io;scope=repository:a/b:pull,push]",
            ),
            (&[r#"Basic realm="basic-realm""#], "basic[realm=basic-realm]"),
            (&["Basic"], "basic[]"),
            (
                &[r#"Basic realm="a", Bearer realm="b", service=c"#],
                "basic[realm=a] bearer[realm=b;service=c]",
            ),
            (
                &[r#"BEARER Realm = "a" , Service="x\"y\\z""#, "Negotiate"],
                r#"bearer[realm=a;service=x"y\z] negotiate[]"#,
            ),
            (&[", ,Basic realm=a,,"], "basic[realm=a]"),
        ] {
            assert_eq!(shown(values), expected);
        }
    }

    #[test]
    fn survives_garbage() {
        for (value, expected) in [
            ("", ""),
            ("=", ""),
            ("realm=\"x\"", ""),
            ("\"", ""),
            ("Bearer realm=\"never closed", "bearer[]"),
            ("Bearer realm=\"ends in \\", "bearer[]"),
            ("Bearer realm=", "bearer[]"),
            ("Bearer \u{fc}\u{fc}", "bearer[]"),
            ("Basic realm=\"ok\", Bearer realm=\"", "basic[realm=ok] bearer[]"),
        ] {
            assert_eq!(shown(&[value]), expected, "{value}");
        }
    }

    #[test]
    fn is_bounded() {
        assert_eq!(all(&[&"Basic, ".repeat(1000)]).len(), CHALLENGES);
        let many = format!("Bearer {}", "a=b, ".repeat(1000));
        assert_eq!(all(&[&many])[0].parameters.len(), PARAMETERS);
        assert_eq!(all(&[&"a".repeat(20_000), "Basic"]).len(), 0);
    }
}
