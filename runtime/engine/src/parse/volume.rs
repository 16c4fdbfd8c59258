//! `-v [SOURCE:]TARGET[:OPTIONS]`.

use std::path::Path;

use super::mount::{Mount, Recursion, Source, check_volume_name, clean_path, clean_target, is_propagation};

/// One `-v`; a source that starts with `.` is below `cwd`.
pub fn parse(text: &str, cwd: &Path) -> Result<Mount, String> {
    let invalid = |why: String| format!("invalid volume specification: '{text}': {why}");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        // `/target:ro` is no source with a relative target, but Docker reads it so, and so do we.
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(format!("invalid spec: {text}: too many colons")),
    };
    if target.is_empty() {
        return Err(format!("invalid spec: {text}: empty section between colons"));
    }
    if source == Some("") {
        return Err(format!("invalid spec: {text}: empty section between colons"));
    }
    let kind = if source.is_some_and(is_path) { "bind" } else { "volume" };
    let target = clean_target(target)
        .map_err(|e| invalid(format!("invalid mount config for type \"{kind}\": {e}")))?;
    let mode = Mode::parse(options)?;
    let source = match source {
        Some(path) if is_path(path) => Source::Bind {
            path: absolute(path, cwd),
            create: true,
            recursion: Recursion::Enabled,
            propagation: mode.propagation,
        },
        name => {
            if let Some(name) = name {
                check_volume_name(name)?;
            }
            if mode.propagation.is_some() {
                return Err(format!("invalid mode: {options}"));
            }
            Source::Volume { name: name.map(str::to_owned) }
        }
    };
    Ok(Mount { target, read_only: mode.read_only, source })
}

/// Docker's rule for what is a path of the host and not the name of a volume.
fn is_path(source: &str) -> bool {
    source.starts_with('/')
        || source.starts_with("./")
        || source.starts_with("../")
        || source == "."
        || source == ".."
}

fn absolute(path: &str, cwd: &Path) -> String {
    if path.starts_with('/') { clean_path(path) } else { clean_path(&format!("{}/{path}", cwd.display())) }
}

#[derive(Debug, Default)]
struct Mode {
    read_only: bool,
    propagation: Option<String>,
}

impl Mode {
    /// The third part: each kind of option at most once.
    fn parse(options: &str) -> Result<Mode, String> {
        let wrong = || format!("invalid mode: {options}");
        let mut mode = Mode::default();
        let (mut access, mut label, mut copy, mut consistency) = (0, 0, 0, 0);
        for option in options.split(',').filter(|_| !options.is_empty()) {
            match option {
                "ro" => (mode.read_only, access) = (true, access + 1),
                "rw" => access += 1,
                // SELinux labels: nothing to do where SELinux is off, and it is not supported where it is on.
                "z" | "Z" => label += 1,
                "nocopy" => copy += 1,
                "consistent" | "cached" | "delegated" | "default" => consistency += 1,
                text if is_propagation(text) && mode.propagation.is_none() => {
                    mode.propagation = Some(text.to_owned());
                }
                _ => return Err(wrong()),
            }
        }
        if [access, label, copy, consistency].iter().any(|n| *n > 1) { Err(wrong()) } else { Ok(mode) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn bind(path: &str, target: &str, read_only: bool, propagation: Option<&str>) -> Mount {
        Mount {
            target: target.to_owned(),
            read_only,
            source: Source::Bind {
                path: path.to_owned(),
                create: true,
                recursion: Recursion::Enabled,
                propagation: propagation.map(str::to_owned),
            },
        }
    }

    fn volume(name: Option<&str>, target: &str, read_only: bool) -> Mount {
        Mount {
            target: target.to_owned(),
            read_only,
            source: Source::Volume { name: name.map(str::to_owned) },
        }
    }

    #[rstest]
    #[case("/a:/b", bind("/a", "/b", false, None))]
    #[case("/a/:/b/", bind("/a", "/b", false, None))]
    #[case("/a:/b:ro", bind("/a", "/b", true, None))]
    #[case("/a:/b:rw,rshared", bind("/a", "/b", false, Some("rshared")))]
    #[case("/a:/b:ro,Z", bind("/a", "/b", true, None))]
    #[case("./x:/b", bind("/cwd/x", "/b", false, None))]
    #[case("../x:/b", bind("/x", "/b", false, None))]
    #[case(".:/b", bind("/cwd", "/b", false, None))]
    #[case("data:/b", volume(Some("data"), "/b", false))]
    #[case("data:/b:ro", volume(Some("data"), "/b", true))]
    #[case("data:/b:nocopy", volume(Some("data"), "/b", false))]
    #[case("/b", volume(None, "/b", false))]
    fn good(#[case] text: &str, #[case] want: Mount) {
        assert_eq!(parse(text, Path::new("/cwd")), Ok(want));
    }

    #[rstest]
    #[case("", "invalid spec: : empty section between colons")]
    #[case(":/b", "invalid spec: :/b: empty section between colons")]
    #[case("/a:", "invalid spec: /a:: empty section between colons")]
    #[case("/a:/b:ro:x", "invalid spec: /a:/b:ro:x: too many colons")]
    #[case("/a:/b:foo", "invalid mode: foo")]
    #[case("/a:/b:ro,rw", "invalid mode: ro,rw")]
    #[case("/a:/b:ro,", "invalid mode: ro,")]
    #[case("data:/b:rshared", "invalid mode: rshared")]
    #[case(
        "/a:b",
        "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid mount path: 'b' mount path must be absolute"
    )]
    #[case(
        "/a:/",
        "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
    )]
    #[case(
        "a/b:/c",
        "create a/b: \"a/b\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(parse(text, Path::new("/cwd")), Err(want.to_owned()));
    }
}
