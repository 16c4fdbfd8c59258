//! Shell patterns of names, with the grammar of Go's path.Match: `*` and `?` do not match a slash, `[a-z]`, `[^a]`, `\x`.

/// Whether the whole of `text` matches; `None` for a pattern that is none.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let pattern = parse(pattern)?;
    let text: Vec<char> = text.chars().collect();
    // The place after the last star, and the text it would be tried on next: a star takes as little as it can.
    let (mut at, mut from) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at) {
            None if from == text.len() => return Some(true),
            Some(Piece::Star) => {
                retry = Some((at + 1, from));
                at += 1;
                continue;
            }
            Some(piece) if text.get(from).is_some_and(|c| piece.takes(*c)) => {
                (at, from) = (at + 1, from + 1);
                continue;
            }
            _ => {}
        }
        match retry {
            Some((after, taken)) if text.get(taken).is_some_and(|c| *c != '/') => {
                retry = Some((after, taken + 1));
                (at, from) = (after, taken + 1);
            }
            _ => return Some(false),
        }
    }
}

#[derive(Debug)]
enum Piece {
    Star,
    Any,
    One(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Piece::Star => false,
            Piece::Any => c != '/',
            Piece::One(one) => c == *one,
            Piece::Class { negated, ranges } => {
                c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn parse(pattern: &str) -> Option<Vec<Piece>> {
    let mut chars = pattern.chars().peekable();
    let mut pieces = Vec::new();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Star,
            '?' => Piece::Any,
            '\\' => Piece::One(chars.next()?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || chars.peek() != Some(&']') {
                    let low = class_char(&mut chars)?;
                    let high = match chars.next_if_eq(&'-') {
                        Some(_) => class_char(&mut chars)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                chars.next();
                Piece::Class { negated, ranges }
            }
            other => Piece::One(other),
        });
    }
    Some(pieces)
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '\\' => chars.next(),
        '-' | ']' => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("alpine", "alpine", Some(true))]
    #[case("alpine", "alpine:latest", Some(false))]
    #[case("alpine:*", "alpine:3.22", Some(true))]
    #[case("*", "alpine", Some(true))]
    #[case("*", "user/app", Some(false))]
    #[case("*/*", "user/app", Some(true))]
    #[case("a*e*e", "alpine-edge-e", Some(true))]
    #[case("a*z", "alpine", Some(false))]
    #[case("alpin?", "alpine", Some(true))]
    #[case("alpin[a-f]", "alpine", Some(true))]
    #[case("alpin[^a-f]", "alpine", Some(false))]
    #[case("alpin[xe]", "alpine", Some(true))]
    #[case("\\*", "*", Some(true))]
    #[case("", "", Some(true))]
    #[case("[", "x", None)]
    #[case("[]a]", "x", None)]
    #[case("[a-]", "x", None)]
    #[case("a\\", "a", None)]
    fn as_go_matches(#[case] pattern: &str, #[case] text: &str, #[case] want: Option<bool>) {
        assert_eq!(matches(pattern, text), want);
    }

    #[test]
    fn many_stars_take_no_time() {
        assert_eq!(matches(&"*a".repeat(200), &"a".repeat(5000)), Some(true));
        assert_eq!(matches(&("*a".repeat(200) + "b"), &"a".repeat(5000)), Some(false));
    }
}
