//! Container names: what is valid, and the generator of `adjective_surname`.

use crate::error::{Error, Result};
use crate::id::fill_random;

/// Docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, with an optional leading slash that is dropped.
pub fn validate(name: &str) -> Result<&str> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    if is_valid(bare) {
        return Ok(bare);
    }
    Err(Error::invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

/// The same rule holds for volumes.
pub(crate) fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    let rest = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (2..=255).contains(&bytes.len()) && bytes[0].is_ascii_alphanumeric() && bytes[1..].iter().all(rest)
}

/// A random name; `attempt` above 0 adds digits, for when the plain one was taken.
pub fn generate(attempt: u32) -> Result<String> {
    let mut random = [0u8; 5];
    fill_random(&mut random)?;
    let pick = |words: &[&'static str], hi: u8, lo: u8| {
        words[usize::from(u16::from_be_bytes([hi, lo])) % words.len()]
    };
    let name = format!("{}_{}", pick(ADJECTIVES, random[0], random[1]), pick(SURNAMES, random[2], random[3]));
    Ok(if attempt == 0 { name } else { format!("{name}{}", random[4]) })
}

const ADJECTIVES: &[&str] = &[
    "able", "agile", "airy", "amber", "ample", "apt", "arctic", "astute", "balmy", "bold", "brave", "breezy",
    "brisk", "calm", "candid", "careful", "cheery", "civil", "clear", "clever", "cosmic", "cosy", "crisp",
    "curious", "daring", "deft", "dreamy", "eager", "earnest", "easy", "elated", "exact", "fair", "fancy",
    "festive", "firm", "fleet", "fluent", "frank", "fresh", "gentle", "gifted", "glad", "golden", "graceful",
    "hardy", "hearty", "honest", "humble", "jolly", "jovial", "keen", "kind", "limber", "lively", "lucid",
    "lucky", "merry", "mellow", "mighty", "modest", "neat", "nimble", "noble", "patient", "placid", "polite",
    "proud", "quick", "quiet", "rapid", "ready", "rustic", "sage", "serene", "sharp", "silent", "sincere",
    "sleek", "smart", "snug", "solid", "spry", "stable", "steady", "stoic", "sunny", "swift", "tidy",
    "trusty", "upbeat", "valiant", "vivid", "warm", "wise", "witty", "zealous", "zesty",
];

const SURNAMES: &[&str] = &[
    "abel",
    "agnesi",
    "ampere",
    "archimedes",
    "babbage",
    "banach",
    "bell",
    "bernoulli",
    "bohr",
    "boole",
    "born",
    "brahe",
    "cantor",
    "cauchy",
    "cerf",
    "church",
    "codd",
    "copernicus",
    "curie",
    "darwin",
    "descartes",
    "dijkstra",
    "dirac",
    "einstein",
    "engelbart",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "fourier",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goedel",
    "goodall",
    "hamilton",
    "hamming",
    "hawking",
    "heisenberg",
    "herschel",
    "hertz",
    "hilbert",
    "hoare",
    "hopper",
    "hypatia",
    "joule",
    "kepler",
    "knuth",
    "kovalevskaya",
    "lagrange",
    "lamarr",
    "lamport",
    "laplace",
    "leavitt",
    "leibniz",
    "liskov",
    "lovelace",
    "maxwell",
    "mccarthy",
    "meitner",
    "mendel",
    "mendeleev",
    "naur",
    "newton",
    "noether",
    "nyquist",
    "pascal",
    "pasteur",
    "pauli",
    "perlman",
    "planck",
    "poincare",
    "ptolemy",
    "ramanujan",
    "riemann",
    "ritchie",
    "rutherford",
    "sagan",
    "shannon",
    "somerville",
    "swartz",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "volta",
    "wiles",
    "wirth",
    "wozniak",
    "wu",
    "yalow",
];

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("web", true)]
    #[case("/web", true)]
    #[case("a.b-c_1", true)]
    #[case("a", false)]
    #[case("", false)]
    #[case("-web", false)]
    #[case("we b", false)]
    #[case("web/x", false)]
    #[case("wéb", false)]
    fn names(#[case] name: &str, #[case] good: bool) {
        assert_eq!(validate(name).is_ok(), good, "{name}");
    }

    #[test]
    fn too_long_a_name() {
        assert!(is_valid(&"a".repeat(255)));
        assert!(!is_valid(&"a".repeat(256)));
    }

    #[test]
    fn text_of_an_invalid_name() {
        assert_eq!(
            validate("a b").unwrap_err().to_string(),
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }

    #[test]
    fn generated_names_are_valid() {
        for attempt in 0..50 {
            let name = generate(attempt).unwrap();
            assert!(is_valid(&name) && name.contains('_'), "{name}");
        }
    }
}
