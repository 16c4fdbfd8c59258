//! Health checks as they are asked for: `--health-*` over the image's `HEALTHCHECK`, with Docker's defaults.

use sandbox_shim::plan;
use serde::{Deserialize, Serialize};

const SECOND: u64 = 1_000_000_000;
/// An image must not be able to keep its container busy with nothing else; Docker's bound.
const SHORTEST: u64 = 1_000_000;

/// A wish; what it does not say is taken from somewhere else. Also the image's own JSON. Times are nanoseconds, 0 says
/// nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Wish {
    /// Empty, `NONE`, `CMD` and arguments, or `CMD-SHELL` and a text.
    pub test: Vec<String>,
    pub interval: u64,
    pub timeout: u64,
    pub start_period: u64,
    pub start_interval: u64,
    pub retries: u32,
}

impl Wish {
    /// This one, and where it says nothing the image's.
    #[must_use]
    pub(crate) fn over(mut self, image: Option<&Wish>) -> Wish {
        let Some(image) = image else { return self };
        let or = |ours: u64, theirs: u64| if ours == 0 { theirs } else { ours };
        if self.test.is_empty() {
            self.test.clone_from(&image.test);
        }
        self.interval = or(self.interval, image.interval);
        self.timeout = or(self.timeout, image.timeout);
        self.start_period = or(self.start_period, image.start_period);
        self.start_interval = or(self.start_interval, image.start_interval);
        self.retries = if self.retries == 0 { image.retries } else { self.retries };
        self
    }

    /// What the supervisor does; None: nothing.
    pub(crate) fn plan(&self) -> Option<plan::Health> {
        let command = match self.test.split_first()? {
            (kind, arguments) if kind == "CMD" && !arguments.is_empty() => arguments.to_vec(),
            (kind, [text, ..]) if kind == "CMD-SHELL" => {
                vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()]
            }
            _ => return None,
        };
        let or = |value: u64, default: u64| if value == 0 { default } else { value.max(SHORTEST) };
        Some(plan::Health {
            command,
            interval_ns: or(self.interval, 30 * SECOND),
            timeout_ns: or(self.timeout, 30 * SECOND),
            start_period_ns: self.start_period,
            start_interval_ns: or(self.start_interval, 5 * SECOND),
            retries: if self.retries == 0 { 3 } else { self.retries },
        })
    }

    /// That of an image's configuration. Docker's extension: the OCI specification does not know it.
    pub(crate) fn of_image(config: &[u8]) -> Option<Wish> {
        #[derive(Deserialize)]
        struct Outer {
            config: Option<Inner>,
        }
        #[derive(Deserialize)]
        struct Inner {
            #[serde(rename = "Healthcheck")]
            health: Option<Wish>,
        }
        // Most have none, and are not parsed a second time for that.
        let name = b"\"Healthcheck\"";
        if !config.windows(name.len()).any(|window| window == name) {
            return None;
        }
        serde_json::from_slice::<Outer>(config).ok()?.config?.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(test: &[&str]) -> Wish {
        Wish { test: test.iter().map(|&word| word.to_owned()).collect(), ..Wish::default() }
    }

    #[test]
    fn commands() {
        assert_eq!(wish(&["CMD", "a", "b"]).plan().unwrap().command, ["a", "b"]);
        assert_eq!(wish(&["CMD-SHELL", "x || y"]).plan().unwrap().command, ["/bin/sh", "-c", "x || y"]);
        for none in [&[][..], &["NONE"], &["CMD"], &["WHAT", "x"]] {
            assert_eq!(wish(none).plan(), None, "{none:?}");
        }
    }

    #[test]
    fn ours_over_the_images() {
        let config = br#"{"config":{"Healthcheck":{"Test":["CMD","old"],"Interval":7,"Retries":9}}}"#;
        let image = Wish::of_image(config).unwrap();
        let plan = Wish { retries: 1, ..Wish::default() }.over(Some(&image)).plan().unwrap();
        assert_eq!(
            (plan.command.as_slice(), plan.interval_ns, plan.retries),
            (&["old".to_owned()][..], SHORTEST, 1)
        );
        assert_eq!(wish(&["NONE"]).over(Some(&image)).plan(), None);
        assert_eq!(Wish::of_image(br#"{"config":{}}"#), None);
        assert_eq!(Wish::of_image(br#"{"config":{"Healthcheck":3}}"#), None);
    }
}
