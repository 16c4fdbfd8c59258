//! What a `-v`, `--mount` or `--tmpfs` asks for, and the checks that all three share.

use serde::{Deserialize, Serialize};

/// One mount of a container, besides the standard ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container, without `.` and `..`.
    pub target: String,
    #[serde(default)]
    pub read_only: bool,
    pub source: Source,
}

/// Where the content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Source {
    /// A path of the host.
    Bind {
        path: String,
        /// `-v` makes a directory where there is nothing; `--mount` refuses.
        create: bool,
        /// What mounts inside the source do.
        recursion: Recursion,
        /// `rprivate` and its like.
        propagation: Option<String>,
    },
    /// A directory that the engine keeps; without a name one is made for this container.
    Volume { name: Option<String> },
    /// Memory; mount options as tmpfs(5) has them.
    Tmpfs { options: Vec<String> },
}

/// `bind-recursive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recursion {
    /// Mounts inside come along; read-only is made recursive where the kernel can.
    Enabled,
    /// Only the mount itself.
    Disabled,
    /// Mounts inside a read-only bind stay writable.
    Writable,
    /// Mounts inside must become read-only too.
    Readonly,
}

/// The propagations of mount(8).
pub(super) fn is_propagation(text: &str) -> bool {
    matches!(text, "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave")
}

/// The target as an absolute path without `.`, `..`, doubled and trailing slashes.
pub(super) fn clean_target(target: &str) -> Result<String, String> {
    if !target.starts_with('/') {
        return Err(format!("invalid mount path: '{target}' mount path must be absolute"));
    }
    let clean = clean_path(target);
    if clean == "/" {
        return Err("invalid specification: destination can't be '/'".to_owned());
    }
    Ok(clean)
}

/// Lexical clean-up of an absolute path; `..` at the root stays at the root.
pub(crate) fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The name of a volume; the text is the one that tells people to write absolute paths.
pub(super) fn check_volume_name(name: &str) -> Result<(), String> {
    if crate::name::is_valid(name) {
        return Ok(());
    }
    Err(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, \
         only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. \
         If you intended to pass a host directory, use absolute path"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/a/b", Ok("/a/b"))]
    #[case("/a//b/", Ok("/a/b"))]
    #[case("/a/./b/../c", Ok("/a/c"))]
    #[case("/../../etc", Ok("/etc"))]
    #[case("a", Err("invalid mount path: 'a' mount path must be absolute"))]
    #[case("/", Err("invalid specification: destination can't be '/'"))]
    #[case("/..", Err("invalid specification: destination can't be '/'"))]
    fn targets(#[case] target: &str, #[case] want: Result<&str, &str>) {
        assert_eq!(clean_target(target), want.map(str::to_owned).map_err(str::to_owned));
    }
}
