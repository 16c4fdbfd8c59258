//! The part of Go's templates that lists of figures need: `json`, `table TEMPLATE`, `{{.Field}}`, `{{json .}}`,
//! `{{json .Field}}` and the functions of one text. Anything else is an error that says so.

use std::collections::BTreeMap;

use super::table::Table;

/// One row: sorted, because JSON is printed so.
pub(crate) type Fields = BTreeMap<&'static str, String>;

#[derive(Debug)]
pub(crate) struct Template {
    header: bool,
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field {
        name: String,
        function: Option<Function>,
    },
    /// `{{json .}}`
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Json,
    Lower,
    Upper,
    Title,
    Println,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        if text == "json" {
            return Ok(Template { header: false, parts: vec![Part::All] });
        }
        let (header, body) = match text.strip_prefix("table") {
            Some("") => return Err("template parsing error: `table` needs a template behind it".to_owned()),
            Some(rest) if rest.starts_with([' ', '\t']) => (true, rest.trim_start()),
            _ => (false, text),
        };
        let body = body.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        let mut rest = body.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (action, after) = after.split_once("}}").ok_or("template parsing error: unclosed action")?;
            parts.push(action_part(action.trim_matches('-').trim())?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template { header, parts })
    }

    /// All rows; `headers` name the columns of a table.
    pub(crate) fn render(&self, rows: &[Fields], headers: &[(&str, &str)]) -> Result<String, String> {
        let mut lines = rows.iter().map(|row| self.line(row)).collect::<Result<Vec<_>, _>>()?;
        if self.header {
            let names = headers.iter().map(|(field, header)| (*field, *header));
            let named: BTreeMap<&str, &str> = names.collect();
            let header = self.parts.iter().map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Field { name, .. } => {
                    named.get(name.as_str()).map_or_else(|| name.to_uppercase(), |h| (*h).to_owned())
                }
                Part::All => String::new(),
            });
            lines.insert(0, header.collect());
            let cells: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
            let mut table = Table::new(&cells[0]);
            cells[1..].iter().for_each(|row| table.row(row));
            return Ok(table.to_string());
        }
        Ok(lines.into_iter().map(|line| line + "\n").collect())
    }

    fn line(&self, row: &Fields) -> Result<String, String> {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::All => line.push_str(&serde_json::to_string(row).map_err(|e| e.to_string())?),
                Part::Field { name, function } => {
                    let value = row.get(name.as_str()).ok_or_else(|| {
                        format!("template parsing error: template: :1: can't evaluate field {name}")
                    })?;
                    line.push_str(&applied(*function, value)?);
                }
            }
        }
        Ok(line)
    }
}

fn action_part(action: &str) -> Result<Part, String> {
    let unknown = || format!("template parsing error: cannot understand {{{{{action}}}}}");
    let words: Vec<&str> = action.split_whitespace().collect();
    let field = |word: &str| {
        let name = word.strip_prefix('.').ok_or_else(unknown)?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
        if plain { Ok(name.to_owned()) } else { Err(unknown()) }
    };
    match words.as_slice() {
        ["json", "."] => Ok(Part::All),
        [one] => Ok(Part::Field { name: field(one)?, function: None }),
        [function, argument] => {
            let function = match *function {
                "json" => Function::Json,
                "lower" => Function::Lower,
                "upper" => Function::Upper,
                "title" => Function::Title,
                "println" => Function::Println,
                _ => return Err(unknown()),
            };
            Ok(Part::Field { name: field(argument)?, function: Some(function) })
        }
        _ => Err(unknown()),
    }
}

fn applied(function: Option<Function>, value: &str) -> Result<String, String> {
    Ok(match function {
        None => value.to_owned(),
        Some(Function::Json) => serde_json::to_string(value).map_err(|e| e.to_string())?,
        Some(Function::Lower) => value.to_lowercase(),
        Some(Function::Upper) => value.to_uppercase(),
        Some(Function::Title) => {
            let mut letters = value.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
        Some(Function::Println) => format!("{value}\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn rendered(template: &str) -> Result<String, String> {
        let row = Fields::from([("ID", "abc".to_owned()), ("Tag", "lat\"est".to_owned())]);
        Template::parse(template)?.render(&[row], &[("ID", "IMAGE ID"), ("Tag", "TAG")])
    }

    #[rstest]
    #[case("{{.ID}}", "abc\n")]
    #[case("{{ .ID }}-x", "abc-x\n")]
    #[case("{{upper .ID}}\\t{{.ID}}", "ABC\tabc\n")]
    #[case("{{json .Tag}}", "\"lat\\\"est\"\n")]
    #[case("{{json .}}", "{\"ID\":\"abc\",\"Tag\":\"lat\\\"est\"}\n")]
    #[case("json", "{\"ID\":\"abc\",\"Tag\":\"lat\\\"est\"}\n")]
    #[case("table {{.ID}}\\t{{.Tag}}", "IMAGE ID   TAG\nabc        lat\"est\n")]
    #[case("plain", "plain\n")]
    fn good(#[case] template: &str, #[case] want: &str) {
        assert_eq!(rendered(template).unwrap(), want);
    }

    #[rstest]
    #[case("{{.Nope}}")]
    #[case("{{.ID")]
    #[case("{{range .}}")]
    #[case("{{frob .ID}}")]
    #[case("{{}}")]
    #[case("table")]
    fn bad(#[case] template: &str) {
        assert!(rendered(template).unwrap_err().starts_with("template parsing error"), "{template}");
    }
}
