//! `--volumes-from CONTAINER[:ro|rw]`.

use serde::{Deserialize, Serialize};

/// All volumes and binds of another container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    pub container: String,
    /// Also what the other one may write.
    pub read_only: bool,
}

/// One `--volumes-from`.
pub fn parse(text: &str) -> Result<VolumesFrom, String> {
    let (container, mode) = text.split_once(':').map_or((text, None), |(name, mode)| (name, Some(mode)));
    if container.is_empty() {
        return Err(format!("invalid volumes-from specification: \"{text}\""));
    }
    let read_only = match mode {
        // It does not make writable what the other one has read-only, as in Docker.
        None | Some("rw" | "z" | "Z") => false,
        Some("ro") => true,
        Some(mode) => return Err(format!("invalid mode for volumes-from: {mode}")),
    };
    Ok(VolumesFrom { container: container.to_owned(), read_only })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("web", Ok(("web", false)))]
    #[case("web:ro", Ok(("web", true)))]
    #[case("web:rw", Ok(("web", false)))]
    #[case("web:x", Err("invalid mode for volumes-from: x"))]
    #[case(":ro", Err("invalid volumes-from specification: \":ro\""))]
    #[case("", Err("invalid volumes-from specification: \"\""))]
    fn values(#[case] text: &str, #[case] want: Result<(&str, bool), &str>) {
        let got = parse(text).map(|from| (from.container, from.read_only));
        assert_eq!(got, want.map(|(name, mode)| (name.to_owned(), mode)).map_err(str::to_owned));
    }
}
