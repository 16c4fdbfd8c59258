//! Paths inside an archive: relative, without `..`, and no deeper than a person would nest.

use super::Refusal;

/// `NAME_MAX`
const NAME: usize = 255;
/// Removing a tree keeps a descriptor open per level.
const DEPTH: usize = 256;

/// The components of `path`; none for the root itself. `.` and empty components say nothing and are dropped.
pub(super) fn components(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let components: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    if path.is_empty() {
        return Err(Refusal("has no name"));
    }
    // Some tools write the root directory itself as "/".
    if path.starts_with(b"/") && !components.is_empty() {
        return Err(Refusal("has an absolute path"));
    }
    for name in &components {
        if *name == b".." {
            return Err(Refusal("has \"..\" in its path"));
        }
        if name.len() > NAME {
            return Err(Refusal("has a name longer than 255 bytes"));
        }
        if name.contains(&0) {
            return Err(Refusal("has a NUL in its path"));
        }
    }
    if components.len() > DEPTH {
        return Err(Refusal("is nested deeper than 256 directories"));
    }
    Ok(components)
}

/// The inverse of [`components`], `.` for the root.
pub(super) fn join(components: &[impl AsRef<[u8]>]) -> Vec<u8> {
    if components.is_empty() {
        return b".".to_vec();
    }
    let mut path = Vec::new();
    for component in components {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component.as_ref());
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths() {
        assert_eq!(components(b"./a//b/./c/").unwrap(), [b"a", b"b", b"c"]);
        assert!(components(b"./").unwrap().is_empty());
        assert!(components(b"/").unwrap().is_empty());
        assert_eq!(join(&components(b"./a//b/").unwrap()), b"a/b");
        assert_eq!(join(&[] as &[&[u8]]), b".");
        assert_eq!(components(b"a/...").unwrap(), [&b"a"[..], b"..."]);
    }

    #[test]
    fn hostile_paths() {
        let long = [b'a'; 256];
        let deep = b"a/".repeat(257);
        for path in
            [&b""[..], b"/etc/passwd", b"//a", b"..", b"../a", b"a/../b", b"a/..", b"a\0b", &long, &deep]
        {
            assert!(components(path).is_err(), "{:?}", String::from_utf8_lossy(path));
        }
    }
}
