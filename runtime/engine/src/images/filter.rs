//! `--filter` of the table of images.

use sandbox_image::{LabelFilter, ListedImage, PruneOptions};

use super::pattern;
use crate::clock::realtime_ns;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::parse::{mount_flag::boolean, timestamp};

/// Conditions on images. Different ones must all hold; of several patterns one must.
#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    /// Only images without a name, or only those with one.
    pub dangling: Option<bool>,
    labels: Vec<LabelFilter>,
    patterns: Vec<String>,
    /// Created before this time, in seconds since 1970.
    before: Option<i64>,
    /// Created after it.
    since: Option<i64>,
}

impl ImageFilter {
    pub(crate) fn matches(&self, image: &ListedImage) -> bool {
        let created = image.created.unwrap_or(0);
        self.dangling.is_none_or(|dangling| dangling == image.reference.is_none())
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.labels.iter().all(|label| holds(label, image))
            && (self.patterns.is_empty() || self.patterns.iter().any(|pattern| is_named(image, pattern)))
    }
}

fn holds(label: &LabelFilter, image: &ListedImage) -> bool {
    let found = image.labels.get(&label.key);
    let has = found.is_some_and(|found| label.value.as_ref().is_none_or(|value| value == found));
    has != label.negated
}

/// The pattern may mean the name as people write it or in full, with its tag or without.
fn is_named(image: &ListedImage, wanted: &str) -> bool {
    image.reference.as_ref().is_some_and(|reference| {
        [reference.familiar(), reference.familiar_name(), reference.to_string(), reference.repository()]
            .iter()
            .any(|name| pattern::matches(wanted, name) == Some(true))
    })
}

/// `key`, `key=value`
fn label(text: &str, negated: bool) -> LabelFilter {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    LabelFilter { key: key.to_owned(), value, negated }
}

impl Engine {
    /// The filter of `(key, value)` pairs, in Docker's words if it is none.
    pub fn image_filter<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<ImageFilter> {
        let mut filter = ImageFilter::default();
        for (key, value) in pairs {
            match key {
                "dangling" => filter.dangling = Some(flag(key, value)?),
                "label" => filter.labels.push(label(value, false)),
                "reference" => {
                    if pattern::matches(value, "").is_none() {
                        return Err(Error::invalid(format!("syntax error in pattern: {value:?}")));
                    }
                    filter.patterns.push(value.to_owned());
                }
                "before" => filter.before = Some(earliest(filter.before, self.created(value)?)),
                "until" => filter.before = Some(earliest(filter.before, until(value)?)),
                "since" => {
                    let since = self.created(value)?;
                    filter.since = Some(filter.since.map_or(since, |other| other.max(since)));
                }
                _ => return Err(Error::invalid(format!("invalid filter '{key}'"))),
            }
        }
        Ok(filter)
    }

    fn created(&self, image: &str) -> Result<i64> {
        Ok(self.image(image)?.created.unwrap_or(0))
    }
}

/// What `image prune` removes; the pairs are those of its `--filter`.
pub fn prune_options<'a>(
    all: bool,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<PruneOptions> {
    let mut options = PruneOptions { all, ..PruneOptions::default() };
    for (key, value) in pairs {
        match key {
            "until" => options.until = Some(earliest(options.until, until(value)?)),
            "label" => options.labels.push(label(value, false)),
            "label!" => options.labels.push(label(value, true)),
            "dangling" => options.all = !flag(key, value)?,
            _ => return Err(Error::invalid(format!("invalid filter '{key}'"))),
        }
    }
    Ok(options)
}

fn flag(key: &str, value: &str) -> Result<bool> {
    boolean(value).ok_or_else(|| Error::invalid(format!("invalid filter '{key}=[{value}]'")))
}

fn until(value: &str) -> Result<i64> {
    timestamp::parse(value, realtime_ns() / 1_000_000_000).map_err(Error::Invalid)
}

fn earliest(known: Option<i64>, other: i64) -> i64 {
    known.map_or(other, |known| known.min(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: Option<&str>) -> ListedImage {
        let digest: sandbox_image::Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        ListedImage {
            reference: name.map(|name| name.parse().unwrap()),
            id: digest.clone(),
            manifest: digest,
            digest: None,
            created: Some(1000),
            size: 1,
            labels: [("tier".to_owned(), "web".to_owned())].into(),
        }
    }

    fn filter(filter: &ImageFilter, name: Option<&str>) -> bool {
        filter.matches(&image(name))
    }

    #[test]
    fn names() {
        for (wanted, name, expected) in [
            ("alpine", "alpine:3.22", true),
            ("alpine:3*", "alpine:3.22", true),
            ("alpine:3.21", "alpine:3.22", false),
            ("docker.io/library/alpine", "alpine", true),
            ("*", "alpine", true),
            ("*", "user/app", false),
            ("localhost:5000/*/app", "localhost:5000/team/app:v1", true),
        ] {
            let by_name = ImageFilter { patterns: vec![wanted.to_owned()], ..ImageFilter::default() };
            assert_eq!(filter(&by_name, Some(name)), expected, "{wanted} {name}");
            assert!(!filter(&by_name, None));
        }
    }

    #[test]
    fn times_labels_and_dangling() {
        let default = ImageFilter::default;
        assert!(filter(&ImageFilter { before: Some(1001), ..default() }, None));
        assert!(!filter(&ImageFilter { before: Some(1000), ..default() }, None));
        assert!(!filter(&ImageFilter { since: Some(1000), ..default() }, None));
        assert!(filter(&ImageFilter { dangling: Some(true), ..default() }, None));
        assert!(!filter(&ImageFilter { dangling: Some(true), ..default() }, Some("a")));
        for (text, expected) in [("tier", true), ("tier=web", true), ("tier=db", false), ("x", false)] {
            assert_eq!(
                filter(&ImageFilter { labels: vec![label(text, false)], ..default() }, None),
                expected
            );
            assert_eq!(
                filter(&ImageFilter { labels: vec![label(text, true)], ..default() }, None),
                !expected
            );
        }
    }

    #[test]
    fn of_prune() {
        let options = prune_options(false, [("label!", "keep"), ("until", "1970-01-02")]).unwrap();
        assert_eq!((options.all, options.until), (false, Some(86400)));
        assert!(options.labels[0].negated && options.labels[0].value.is_none());
        assert!(prune_options(false, [("dangling", "false")]).unwrap().all);
        for (key, value, text) in [
            ("foo", "1", "invalid filter 'foo'"),
            ("dangling", "x", "invalid filter 'dangling=[x]'"),
            ("until", "never", "failed to parse value as time or duration: \"never\""),
        ] {
            assert_eq!(prune_options(false, [(key, value)]).unwrap_err().to_string(), text);
        }
    }
}
