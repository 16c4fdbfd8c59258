//! `HEALTHCHECK [--interval=…] CMD …` and `HEALTHCHECK NONE`.

use serde_json::{Map, Value};

use super::change::command;

/// The least that an interval may be.
const MILLISECOND: i64 = 1_000_000;

/// How a container's health is found out, in the members of Docker's config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Healthcheck {
    members: Map<String, Value>,
}

impl Healthcheck {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut members = Map::new();
        let mut rest = text.trim();
        while let Some(flag) = rest.strip_prefix("--") {
            let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
            rest = after.trim_start();
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            let member = match name {
                "interval" => "Interval",
                "timeout" => "Timeout",
                "start-period" => "StartPeriod",
                "start-interval" => "StartInterval",
                "retries" => "Retries",
                _ => return Err(format!("--{name} is not a flag of it")),
            };
            let number = if member == "Retries" {
                value.parse::<i64>().ok().filter(|retries| *retries >= 0)
            } else {
                duration(value).filter(|time| *time == 0 || *time >= MILLISECOND)
            };
            let number = number.ok_or_else(|| format!("--{name} cannot be {value:?}"))?;
            members.insert(member.to_owned(), number.into());
        }
        let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let test = match kind.to_ascii_uppercase().as_str() {
            "NONE" if rest.trim().is_empty() => vec!["NONE".to_owned()],
            "NONE" => return Err("NONE takes no arguments".to_owned()),
            "CMD" => match command(rest) {
                (_, words) if words.iter().all(String::is_empty) => {
                    return Err("a command is missing after CMD".to_owned());
                }
                (true, words) => vec!["CMD-SHELL".to_owned(), words.concat()],
                (false, words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            },
            other => return Err(format!("{other:?} is neither CMD nor NONE")),
        };
        members.insert("Test".to_owned(), test.into());
        Ok(Self { members })
    }

    pub(super) fn value(&self) -> Value {
        self.members.clone().into()
    }
}

/// Go's notation, `1m30s`, in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?;
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            total = total.checked_add(i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?) * place)?;
        }
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commands_and_flags() {
        let parse = |text: &str| Healthcheck::parse(text).map(|check| check.value());
        assert_eq!(parse("NONE"), Ok(json!({ "Test": ["NONE"] })));
        assert_eq!(
            parse("--interval=1m30s --retries=3 CMD curl -f http://localhost/ || exit 1"),
            Ok(json!({
                "Test": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"],
                "Interval": 90_000_000_000i64, "Retries": 3,
            }))
        );
        assert_eq!(
            parse(r#"--timeout=500ms cmd ["a", "b"]"#),
            Ok(json!({ "Test": ["CMD", "a", "b"], "Timeout": 500_000_000 }))
        );
        for text in ["", "CMD", "NONE x", "--retries=-1 NONE", "--timeout=1us NONE", "--x=1 NONE", "RUN x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("0"), Some(0));
        assert_eq!(duration("1.5h"), Some(5_400_000_000_000));
        assert_eq!(duration("2m0.5s"), Some(120_500_000_000));
        for text in ["", "1", "s", "1 s", "-1s", "1d", "99999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
