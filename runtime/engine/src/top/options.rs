//! The options of ps, in its UNIX (`-ef`) and BSD (`aux`) styles.

use super::columns::Column;

/// For errors.
const SUPPORTED: &str =
    "supported: -e, -A, -a, -d, -x, a and x (all processes are shown anyway), -f, u, -w, and -o with ";

/// Columns and their titles.
type Columns = Vec<(Column, String)>;

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    full: bool,
    user: bool,
    bsd: bool,
    own: Columns,
}

/// Reads the arguments; one of them may hold several, as the API sends them.
pub(super) fn parse(arguments: &[String]) -> Result<Columns, String> {
    let mut words = arguments.iter().flat_map(|argument| argument.split_whitespace()).peekable();
    if words.peek().is_none() {
        return Ok(named(&["user=UID", "pid", "ppid", "c", "stime", "tname", "time", "cmd"]));
    }
    let mut asked = Asked::default();
    while let Some(word) = words.next() {
        option(word, &mut words, &mut asked)?;
    }
    match asked {
        Asked { full: false, user: false, own, .. } if !own.is_empty() => Ok(own),
        Asked { own, .. } if !own.is_empty() => Err(refuse("-o and the formats -f and u cannot be together")),
        Asked { user: true, .. } => Ok(named(&[
            "user", "pid", "%cpu", "%mem", "vsz", "rss", "tname", "stat", "bsdstart", "bsdtime", "command",
        ])),
        Asked { full: true, .. } => {
            Ok(named(&["user=UID", "pid", "ppid", "c", "stime", "tname", "time", "cmd"]))
        }
        Asked { bsd: true, .. } => Ok(named(&["pid", "tname", "stat", "bsdtime", "command"])),
        Asked { .. } => Ok(named(&["pid", "tname", "time", "ucmd"])),
    }
}

fn refuse(text: &str) -> String {
    format!("{text}; {SUPPORTED}{}", Column::names().collect::<Vec<_>>().join(","))
}

fn option<'a>(
    word: &'a str,
    rest: &mut impl Iterator<Item = &'a str>,
    asked: &mut Asked,
) -> Result<(), String> {
    let (letters, unix) = match word.strip_prefix('-') {
        // ps takes it for BSD style, too.
        Some("aux" | "auxw" | "auxww") => (word.trim_start_matches('-'), false),
        Some(letters) => (letters, true),
        None => (word, false),
    };
    let unknown = || refuse(&format!("unknown ps option \"{word}\""));
    if letters.is_empty() {
        return Err(unknown());
    }
    for (at, letter) in letters.char_indices() {
        match (letter, unix) {
            ('e' | 'A' | 'a' | 'd' | 'x' | 'w', true) | ('w', false) => {}
            ('a' | 'x', false) => asked.bsd = true,
            ('f', true) => asked.full = true,
            ('u', false) => (asked.user, asked.bsd) = (true, true),
            ('o', _) => {
                let list = match letters.get(at + 1..).unwrap_or_default() {
                    "" => rest.next().ok_or_else(|| refuse("option -o needs a list of columns"))?,
                    list => list,
                };
                asked.own.extend(list.split(',').map(column).collect::<Result<Columns, _>>()?);
                return Ok(());
            }
            _ => return Err(unknown()),
        }
    }
    Ok(())
}

/// `name` or `name=TITLE`.
fn column(text: &str) -> Result<(Column, String), String> {
    let (name, title) = text.split_once('=').map_or((text, None), |(name, title)| (name, Some(title)));
    let (column, usual) =
        Column::find(name).ok_or_else(|| refuse(&format!("unknown ps column \"{name}\"")))?;
    Ok((column, title.unwrap_or(usual).to_owned()))
}

/// Columns of a format of our own.
fn named(names: &[&str]) -> Columns {
    names.iter().filter_map(|name| column(name).ok()).collect()
}
