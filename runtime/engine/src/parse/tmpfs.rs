//! `--tmpfs TARGET[:OPTIONS]`.

use super::mount::{Mount, Source, clean_target};

/// Options that mount(8) takes for any file system, which tmpfs may get.
const FLAGS: [&str; 20] = [
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "remount",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "strictatime",
];
/// tmpfs(5)'s own.
const VALUES: [&str; 7] = ["mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol"];

/// One `--tmpfs`.
pub fn parse(text: &str) -> Result<Mount, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target = clean_target(target)?;
    let options: Vec<String> = options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
    if let Some(unknown) = options.iter().find(|o| !is_known(o)) {
        return Err(format!("invalid tmpfs option [{unknown:?}]"));
    }
    Ok(Mount { target, read_only: false, source: Source::Tmpfs { options } })
}

fn is_known(option: &str) -> bool {
    match option.split_once('=') {
        Some((key, value)) => VALUES.contains(&key) && !value.is_empty(),
        None => FLAGS.contains(&option) || super::mount::is_propagation(option),
    }
}

/// Docker's defaults with the user's options behind them, where a later one takes the place of its
/// opposite: `noexec,nosuid,nodev` and `exec` is `nosuid,nodev,exec`.
pub fn merged(user: &[String]) -> Vec<String> {
    let mut merged: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    for option in user {
        merged.retain(|other| slot(other) != slot(option));
        merged.push(option.clone());
    }
    merged
}

/// What an option decides: the same for `exec` and `noexec`, for `size=1` and `size=2`.
fn slot(option: &str) -> &str {
    let key = option.split('=').next().unwrap_or(option);
    match key {
        "ro" | "rw" => "rw",
        "relatime" | "strictatime" | "noatime" | "atime" => "atime",
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => "propagation",
        "async" => "sync",
        _ => match key.strip_prefix("no") {
            Some(opposite) if FLAGS.contains(&opposite) => opposite,
            _ => key,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/run", "/run", &[])]
    #[case("/run/:", "/run", &[])]
    #[case("/run:rw,size=64m,exec", "/run", &["rw", "size=64m", "exec"])]
    fn good(#[case] text: &str, #[case] target: &str, #[case] options: &[&str]) {
        let options = options.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(
            parse(text),
            Ok(Mount { target: target.to_owned(), read_only: false, source: Source::Tmpfs { options } })
        );
    }

    #[rstest]
    #[case("run", "invalid mount path: 'run' mount path must be absolute")]
    #[case("/", "invalid specification: destination can't be '/'")]
    #[case("/run:foo", "invalid tmpfs option [\"foo\"]")]
    #[case("/run:size=", "invalid tmpfs option [\"size=\"]")]
    #[case("/run:lowerdir=/etc", "invalid tmpfs option [\"lowerdir=/etc\"]")]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(parse(text), Err(want.to_owned()));
    }

    #[rstest]
    #[case(&[], &["noexec", "nosuid", "nodev"])]
    #[case(&["exec"], &["nosuid", "nodev", "exec"])]
    #[case(&["size=1m", "size=2m"], &["noexec", "nosuid", "nodev", "size=2m"])]
    #[case(&["ro", "rw"], &["noexec", "nosuid", "nodev", "rw"])]
    #[case(&["nodev"], &["noexec", "nosuid", "nodev"])]
    fn merging(#[case] user: &[&str], #[case] want: &[&str]) {
        let user: Vec<String> = user.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(merged(&user), want);
    }
}
