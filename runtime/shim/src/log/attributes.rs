//! What a log says about its container besides the lines: the labels and variables that were asked for by name or pattern.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::Subject;
use super::options::Options;

/// Whether the patterns are patterns.
pub(super) fn validate(options: &Options) -> Result<(), String> {
    pattern(options, "labels-regex")?;
    pattern(options, "env-regex")?;
    Ok(())
}

/// The chosen ones of a container, under names that `rename` may change.
pub(super) fn chosen(
    subject: &Subject,
    options: &Options,
    rename: impl Fn(&str) -> String,
) -> Result<BTreeMap<String, String>, String> {
    let mut chosen = BTreeMap::new();
    let variables: BTreeMap<&str, &str> =
        subject.env.iter().filter_map(|variable| variable.split_once('=')).collect();
    let labels = subject.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (from, names, regex) in [(labels, "labels", "labels-regex"), (variables, "env", "env-regex")] {
        let names: Vec<&str> = options.get(names).map(|names| names.split(',').collect()).unwrap_or_default();
        let regex = pattern(options, regex)?;
        for (name, value) in from {
            if names.contains(&name) || regex.as_ref().is_some_and(|regex| regex.is_match(name)) {
                chosen.insert(rename(name), value.to_owned());
            }
        }
    }
    Ok(chosen)
}

fn pattern(options: &Options, name: &str) -> Result<Option<Regex>, String> {
    match options.get(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => {
            Regex::new(text).map(Some).map_err(|error| format!("error parsing regexp: {error}: `{text}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_by_pattern() {
        let subject = Subject {
            labels: [("com.example.tier", "web"), ("other", "x")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            env: ["os=linux", "customer=a=b", "SECRET=1", "broken"].map(str::to_owned).into(),
            ..Subject::default()
        };
        let options = [("labels-regex", "^com\\."), ("env", "os,none,broken"), ("env-regex", "^cust")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let chosen = chosen(&subject, &options, str::to_uppercase).unwrap();
        let want = [("COM.EXAMPLE.TIER", "web"), ("CUSTOMER", "a=b"), ("OS", "linux")];
        assert_eq!(chosen, want.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }
}
