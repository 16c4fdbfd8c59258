//! Words of a Dockerfile: split at blanks, with quotes, escapes and variables (moby/buildkit, frontend/dockerfile/shell).

/// Splits at blanks outside quotes; quotes and escapes stay for [`expand`].
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, blank) if blank.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                word.push('\\');
                word.extend(characters.next());
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Takes quotes and escapes away and puts variables in; `variable` knows their values.
///
/// # Errors
/// What is wrong with the word, for people.
pub(super) fn expand(word: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, &'static str> {
    let mut expander = Expander { rest: word, out: String::new(), variable };
    expander.run()?;
    Ok(expander.out)
}

struct Expander<'a> {
    rest: &'a str,
    out: String,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Expander<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn run(&mut self) -> Result<(), &'static str> {
        while let Some(character) = self.next() {
            match character {
                '\'' => loop {
                    match self.next().ok_or("it has an open single quote")? {
                        '\'' => break,
                        plain => self.out.push(plain),
                    }
                },
                '"' => self.double_quoted()?,
                '\\' => {
                    let escaped = self.next();
                    self.out.extend(escaped);
                }
                '$' => self.variable()?,
                plain => self.out.push(plain),
            }
        }
        Ok(())
    }

    fn double_quoted(&mut self) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or("it has an open double quote")? {
                '"' => return Ok(()),
                '$' => self.variable()?,
                '\\' => match self.next().ok_or("it has an open double quote")? {
                    escaped @ ('"' | '$' | '\\') => self.out.push(escaped),
                    other => self.out.extend(['\\', other]),
                },
                plain => self.out.push(plain),
            }
        }
    }

    /// `$name`, `${name}`, `${name:-default}`, `${name:+other}`; a `$` before anything else is one.
    fn variable(&mut self) -> Result<(), &'static str> {
        if let Some(rest) = self.rest.strip_prefix('{') {
            let (inside, after) = rest.split_once('}').ok_or("it has a \"${\" without its \"}\"")?;
            self.rest = after;
            let end = inside.find(|c: char| !is_name(c)).unwrap_or(inside.len());
            let (name, modifier) = inside.split_at(end);
            if name.is_empty() {
                return Err("it has a \"${\" without a name");
            }
            let value = (self.variable)(name).filter(|value| !value.is_empty());
            let (default, other) = (modifier.strip_prefix(":-"), modifier.strip_prefix(":+"));
            self.out += match (modifier, default, other) {
                ("", ..) => value.as_deref().unwrap_or_default(),
                (_, Some(default), _) => value.as_deref().unwrap_or(default),
                (_, _, Some(other)) => value.as_deref().map_or("", |_| other),
                _ => return Err("it has a modifier other than \":-\" and \":+\" in \"${}\""),
            };
            return Ok(());
        }
        let end = self.rest.find(|c: char| !is_name(c)).unwrap_or(self.rest.len());
        let (name, after) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            self.out.push('$');
            return Ok(());
        }
        self.rest = after;
        self.out += &(self.variable)(name).unwrap_or_default();
        Ok(())
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_quotes() {
        assert_eq!(split(r#" a  "b c"  d='e f'  g\ h "#), ["a", r#""b c""#, "d='e f'", r"g\ h"]);
        assert_eq!(split(""), [""; 0]);
    }

    #[test]
    fn quotes_escapes_and_variables() {
        let variable = |name: &str| (name == "A").then(|| "x y".to_owned());
        for (word, expected) in [
            ("plain", "plain"),
            (r#""b c"'d "e'"#, r#"b cd "e"#),
            (r#"a\ b\\c"\n\"""#, r#"a b\c\n""#),
            ("$A/$B.${A}", "x y/.x y"),
            ("${B:-b}${A:+other}${A:-z}${B:+no}", "botherx y"),
            ("'$A'\\$A$", "$A$A$"),
            ("$1", "$1"),
        ] {
            assert_eq!(expand(word, &variable).as_deref(), Ok(expected), "{word}");
        }
        for word in ["'a", "\"a", "${A", "${}", "${A?x}", "\"a\\"] {
            assert!(expand(word, &variable).is_err(), "{word}");
        }
    }
}
