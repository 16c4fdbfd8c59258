//! `-e` and `--env-file`, `--label` and `--label-file`: the same grammar of `KEY=VALUE`.

use std::io::Read;
use std::path::Path;

/// A larger file is not an environment file.
const MAX_FILE: u64 = 16 << 20;

/// One `-e`: `KEY=VALUE`, or `KEY` whose value is `lookup`'s. A variable that has no value here stays a
/// bare `KEY`, which takes it out of the image's environment.
pub fn variable(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    match text.split_once('=') {
        Some(("", _)) => Err(format!("invalid environment variable: {text}")),
        Some(_) => Ok(text.to_owned()),
        None if text.is_empty() => Err("invalid environment variable: ".to_owned()),
        None => Ok(lookup(text).map_or_else(|| text.to_owned(), |value| format!("{text}={value}"))),
    }
}

/// All variables of an environment file.
pub fn file(path: &Path, lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let failed = |e: std::io::Error| format!("open {}: {}", path.display(), describe(&e));
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("invalid env file ({}): larger than {MAX_FILE} bytes", path.display()));
    }
    lines(&bytes, lookup).map_err(|e| format!("invalid env file ({}): {e}", path.display()))
}

/// The grammar of the file: a line is empty, a comment that starts with `#`, `KEY=VALUE` with the
/// value taken as it stands, or `KEY` taken from `lookup` and left out where that has none.
fn lines(bytes: &[u8], lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line =
            std::str::from_utf8(line).map_err(|_| format!("invalid utf8 bytes at line {}", number + 1))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(k, v)| (k, Some(v)));
        if key.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if key.contains(char::is_whitespace) {
            return Err(format!("variable '{key}' contains whitespaces"));
        }
        match value {
            Some(value) => variables.push(format!("{key}={value}")),
            None => variables.extend(lookup(key).map(|value| format!("{key}={value}"))),
        }
    }
    Ok(variables)
}

/// One `--label`: `KEY=VALUE`, or `KEY` with an empty value.
pub fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// The system's words for an error without Rust's " (os error N)".
pub(crate) fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn lookup(key: &str) -> Option<String> {
        (key == "SET").then(|| "from here".to_owned())
    }

    #[rstest]
    #[case("A=b", Ok("A=b"))]
    #[case("A=", Ok("A="))]
    #[case("A=b=c", Ok("A=b=c"))]
    #[case("SET", Ok("SET=from here"))]
    #[case("UNSET", Ok("UNSET"))]
    #[case("=b", Err("invalid environment variable: =b"))]
    #[case("", Err("invalid environment variable: "))]
    fn variables(#[case] text: &str, #[case] want: Result<&str, &str>) {
        assert_eq!(variable(text, lookup), want.map(str::to_owned).map_err(str::to_owned));
    }

    #[rstest]
    #[case("A=1\n\n# comment\n  B= two words \nSET\nUNSET\n", Ok(&["A=1", "B= two words ", "SET=from here"][..]))]
    #[case("\u{feff}A=1", Ok(&["A=1"][..]))]
    #[case("A=1\r\nB=2\r\n", Ok(&["A=1", "B=2"][..]))]
    #[case("A=\"quoted\" # kept", Ok(&["A=\"quoted\" # kept"][..]))]
    #[case("", Ok(&[][..]))]
    #[case("A B=1", Err("variable 'A B' contains whitespaces"))]
    #[case("=1", Err("no variable name on line '=1'"))]
    fn files(#[case] text: &str, #[case] want: Result<&[&str], &str>) {
        let want = want.map(|v| v.iter().map(|s| (*s).to_owned()).collect()).map_err(str::to_owned);
        assert_eq!(lines(text.as_bytes(), lookup), want);
    }

    #[test]
    fn not_utf8() {
        assert_eq!(lines(b"A=1\nB=\xff\n", lookup), Err("invalid utf8 bytes at line 2".to_owned()));
    }

    #[test]
    fn missing_file() {
        assert_eq!(
            file(Path::new("/nowhere/at/all"), lookup),
            Err("open /nowhere/at/all: no such file or directory".to_owned())
        );
    }

    #[test]
    fn labels() {
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(label("a"), Ok(("a".to_owned(), String::new())));
        assert!(label("=b").is_err());
    }
}
