//! What the two paths of a copy mean together, by Docker's rules: `docker cp`'s documentation has them in words.

/// One side of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side<'a> {
    Container { name: &'a str, path: &'a str },
    Local(&'a str),
}

impl<'a> Side<'a> {
    /// An absolute path is this machine's, and so is one that begins with a dot.
    pub(super) fn parse(text: &'a str) -> Self {
        match text.split_once(':') {
            Some((name, path)) if !text.starts_with('/') && !name.starts_with('.') && !name.is_empty() => {
                Side::Container { name, path }
            }
            _ => Side::Local(text),
        }
    }
}

/// Where it shall go; of a link, what it leads to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) exists: bool,
    pub(super) is_directory: bool,
}

/// Where the archive is to be unpacked, and the name that its top gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: String,
    /// `None`: the one that it has.
    pub(super) name: Option<String>,
}

/// Where a file or directory goes: into a directory that is there, else beside others under the target's name.
pub(super) fn place(of_directory: bool, target: &Target) -> Result<Place, &'static str> {
    if target.exists && target.is_directory {
        return Ok(Place { directory: target.path.clone(), name: None });
    }
    if target.exists && of_directory {
        return Err("cannot copy directory");
    }
    if target.exists || of_directory || !asserts_directory(&target.path) {
        let (directory, name) = split(&target.path);
        return Ok(Place { directory, name: Some(name) });
    }
    Err("no such directory")
}

/// Whether a path can mean a directory only.
fn asserts_directory(path: &str) -> bool {
    path.ends_with('/') || path == "." || path.ends_with("/.")
}

/// Directory and last component, as they are when the path is cleaned; `.` at its end is a component.
fn split(path: &str) -> (String, String) {
    let cleaned = clean(path);
    if path == "." || path.ends_with("/.") {
        return (cleaned, ".".to_owned());
    }
    match cleaned.rsplit_once('/') {
        Some(("", "")) => ("/".to_owned(), "/".to_owned()),
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((directory, name)) => (directory.to_owned(), name.to_owned()),
        // A path in a container counts from its root.
        None => ("/".to_owned(), cleaned),
    }
}

/// Go's `filepath.Clean`, of what is absolute or counts from a root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if path.starts_with('/') || joined.is_empty() { format!("/{joined}") } else { joined }
}

/// A path of this machine from its root; a slash or dot at the end, which means something, stays.
pub(super) fn absolute(path: &str) -> Result<String, String> {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        let here = std::env::current_dir().map_err(|error| format!("find the working directory: {error}"))?;
        let here = here.to_str().ok_or("the working directory is not UTF-8")?;
        format!("{here}/{path}")
    };
    let cleaned = clean(&whole);
    let end = if path == "." || path.ends_with("/.") {
        "/."
    } else if path.ends_with('/') {
        "/"
    } else {
        ""
    };
    Ok(if cleaned == "/" && end != "/." {
        cleaned
    } else {
        format!("{}{end}", cleaned.trim_end_matches('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("c:/etc", Some(("c", "/etc")))]
    #[case("c:etc:x", Some(("c", "etc:x")))]
    #[case("/etc:x", None)]
    #[case("./c:x", None)]
    #[case("../c:x", None)]
    #[case("file", None)]
    #[case("-", None)]
    #[case("c:", Some(("c", "")))]
    fn sides(#[case] text: &str, #[case] container: Option<(&str, &str)>) {
        let expected = container.map_or(Side::Local(text), |(name, path)| Side::Container { name, path });
        assert_eq!(Side::parse(text), expected);
    }

    const FILE: bool = false;
    const DIRECTORY: bool = true;

    /// The table of Docker's documentation: what the source is, what the target is, and what comes of it.
    #[rstest]
    #[case(FILE, "/t", None, Ok(("/", Some("t"))))]
    #[case(FILE, "/a/t/", None, Err("no such directory"))]
    #[case(FILE, "/a/t", Some(FILE), Ok(("/a", Some("t"))))]
    #[case(FILE, "/a/t", Some(DIRECTORY), Ok(("/a/t", None)))]
    #[case(FILE, "/a/t/", Some(DIRECTORY), Ok(("/a/t/", None)))]
    #[case(DIRECTORY, "/a/t", None, Ok(("/a", Some("t"))))]
    #[case(DIRECTORY, "/a/t/", None, Ok(("/a", Some("t"))))]
    #[case(DIRECTORY, "/a/t", Some(FILE), Err("cannot copy directory"))]
    #[case(DIRECTORY, "/a/t", Some(DIRECTORY), Ok(("/a/t", None)))]
    #[case(FILE, "t", None, Ok(("/", Some("t"))))]
    #[case(DIRECTORY, "/a/../t/.", None, Ok(("/t", Some("."))))]
    fn placing(
        #[case] is_directory: bool,
        #[case] to: &str,
        #[case] there: Option<bool>,
        #[case] expected: Result<(&str, Option<&str>), &str>,
    ) {
        let target =
            Target { path: to.to_owned(), exists: there.is_some(), is_directory: there == Some(DIRECTORY) };
        let placed = place(is_directory, &target);
        let expected = expected.map(|(directory, name)| Place {
            directory: directory.to_owned(),
            name: name.map(str::to_owned),
        });
        assert_eq!(placed, expected);
    }

    #[test]
    fn absolute_paths_keep_their_ends() {
        for (path, expected) in [
            ("/a/../b/", "/b/"),
            ("/a/.", "/a/."),
            ("/", "/"),
            ("/.", "/."),
            ("//x//y", "/x/y"),
            ("/a/..", "/"),
        ] {
            assert_eq!(absolute(path).unwrap(), expected, "{path}");
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("x/").unwrap(), format!("{}/x/", here.display()));
        assert_eq!(absolute(".").unwrap(), format!("{}/.", here.display()));
    }
}
