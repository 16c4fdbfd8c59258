//! `--format` of lists: `table`, `table TEMPLATE`, `json` and `TEMPLATE`, each row a set of texts.

use std::collections::BTreeMap;

use sandbox_template::{Data, Functions, Methods, Shape, Struct, Template};
use serde_json::{Map, Value};

use super::tab;

const TABLE: &str = "table";
const JSON: &str = "json";

/// What a list is made of: its fields in templates, with the headers of their columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Go's name of a row, for errors.
    pub(crate) shape: &'static Shape,
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

/// The type of a row that has no fields but texts.
pub(crate) const fn row(name: &'static str) -> Struct {
    Struct { name, fields: &[] }
}

/// One row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    fields: Value,
    /// What `{{.Label "key"}}` finds; `None` if rows have no labels.
    labels: Option<BTreeMap<String, String>>,
}

impl Row {
    pub(crate) fn new<const N: usize>(fields: [(&str, String); N]) -> Row {
        let fields: Map<String, Value> =
            fields.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))).collect();
        Row { fields: Value::Object(fields), labels: None }
    }

    pub(crate) fn with_labels(self, labels: BTreeMap<String, String>) -> Row {
        Row { labels: Some(labels), ..self }
    }

    pub(crate) fn into_value(self) -> Value {
        self.fields
    }
}

/// A parsed `--format`.
#[derive(Debug)]
pub(crate) struct Format {
    header: bool,
    template: Template,
}

impl Format {
    /// What the user wrote; nothing and `table` alone mean `default`, a format as well.
    pub(crate) fn parse(text: Option<&str>, default: &str) -> Result<Format, String> {
        let text = text.filter(|text| !text.is_empty() && *text != TABLE).unwrap_or(default);
        let (header, body) = match text.strip_prefix(TABLE) {
            _ if text == JSON => (false, "{{json .}}".to_owned()),
            Some(rest) => (true, unescaped(rest)),
            None => (false, unescaped(text)),
        };
        let template = Template::parse(&body).map_err(|e| format!("template parsing error: {e}"))?;
        Ok(Format { header, template })
    }

    /// All rows, under the header if it is a table.
    pub(crate) fn render(&self, kind: Kind, rows: &[Row]) -> Result<String, String> {
        let mut text = String::new();
        if self.header {
            let header: Map<String, Value> = kind
                .headers
                .iter()
                .map(|(name, header)| ((*name).to_owned(), Value::from(*header)))
                .collect();
            let header = Value::Object(header);
            let data = Data { functions: Functions::Header, methods: &LabelHeader, ..Data::new(&header) };
            // What cannot be a header is reported by the rows.
            text = self.template.execute(&data).unwrap_or_default() + "\n";
        }
        for row in rows {
            let data = Data { shape: kind.shape, methods: row, ..Data::new(&row.fields) };
            text.push_str(&self.template.execute(&data).map_err(|e| format!("template parsing error: {e}"))?);
            text.push('\n');
        }
        Ok(if self.header { tab::align(&text) } else { text })
    }
}

/// A shell hands over `\t` as two characters.
fn unescaped(text: &str) -> String {
    text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n")
}

impl Methods for Row {
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let labels = self.labels.as_ref().filter(|_| name == "Label")?;
        let key = arguments.first().and_then(Value::as_str).unwrap_or_default();
        Some(Ok(Value::from(labels.get(key).map_or("", String::as_str))))
    }
}

/// The header of `{{.Label "com.example.some-key"}}` is `some key`.
struct LabelHeader;

impl Methods for LabelHeader {
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let key = arguments.first().and_then(Value::as_str).filter(|_| name == "Label")?;
        let last = key.rsplit('.').next().unwrap_or(key);
        Some(Ok(Value::from(last.replace(['-', '_'], " "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ROW: Struct = row("*formatter.thing");
    const KIND: Kind = Kind { shape: &Shape::Struct(&ROW), headers: &[("ID", "THING ID"), ("Name", "NAME")] };
    const DEFAULT: &str = "table {{.ID}}\t{{.Name}}";

    fn rendered(format: Option<&str>) -> Result<String, String> {
        let rows = [Row::new([("Name", "fi\"rst".to_owned()), ("ID", "abc".to_owned())])];
        Format::parse(format, DEFAULT)?.render(KIND, &rows)
    }

    #[rstest]
    #[case(None, "THING ID   NAME\nabc        fi\"rst\n")]
    #[case(Some(""), "THING ID   NAME\nabc        fi\"rst\n")]
    #[case(Some("table"), "THING ID   NAME\nabc        fi\"rst\n")]
    #[case(Some("table {{.Name}}\\t{{upper .ID}}"), "NAME      THING ID\nfi\"rst    ABC\n")]
    #[case(Some("table{{.ID}}"), "THING ID\nabc\n")]
    #[case(Some("json"), "{\"ID\":\"abc\",\"Name\":\"fi\\\"rst\"}\n")]
    #[case(Some("{{json .Name}}"), "\"fi\\\"rst\"\n")]
    #[case(Some("{{.ID}}\\n{{.Name}}"), "abc\nfi\"rst\n")]
    #[case(Some("  plain "), "plain\n")]
    fn good(#[case] format: Option<&str>, #[case] want: &str) {
        assert_eq!(rendered(format).unwrap(), want);
    }

    #[rstest]
    #[case(
        "{{.Nope}}",
        "template parsing error: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *formatter.thing"
    )]
    #[case("{{.ID", "template parsing error: template: :1: unclosed action")]
    fn bad(#[case] format: &str, #[case] want: &str) {
        assert_eq!(rendered(Some(format)).unwrap_err(), want);
    }

    #[test]
    fn the_header_of_an_empty_table() {
        let format = Format::parse(None, DEFAULT).unwrap();
        assert_eq!(format.render(KIND, &[]).unwrap(), "THING ID   NAME\n");
    }

    #[test]
    fn labels_name_their_columns() {
        let format = Format::parse(Some("table {{.Label \"com.example.my-key\"}}"), DEFAULT).unwrap();
        assert_eq!(format.render(KIND, &[]).unwrap(), "my key\n");
    }
}
