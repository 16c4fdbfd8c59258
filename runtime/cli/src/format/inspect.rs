//! The output of `inspect`: a JSON array, or what a template makes of each object.

use sandbox_template::{Data, Missing, Shape, Template};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// Exit code of a template that cannot be parsed, Docker's.
const BAD_TEMPLATE: u8 = 64;

/// How objects are shown.
#[derive(Debug)]
pub(crate) enum Style {
    /// Indented by four spaces.
    Indented,
    /// In one line.
    Compact,
    Template(Template),
}

impl Style {
    /// `-f`
    pub(crate) fn parse(format: Option<&str>) -> Result<Style, Failure> {
        match format {
            None | Some("") => Ok(Style::Indented),
            Some("json") => Ok(Style::Compact),
            Some(text) => Template::parse(text)
                .map(Style::Template)
                .map_err(|e| Failure::plain(format!("template parsing error: {e}")).code(BAD_TEMPLATE)),
        }
    }

    /// All objects of one shape as they are printed, and what was wrong with those that are not.
    pub(crate) fn render<T: Serialize>(&self, objects: &[T], shape: &Shape) -> (String, Vec<String>) {
        self.render_each(objects, |_| shape)
    }

    /// The same for objects of different shapes.
    pub(crate) fn render_each<'a, T: Serialize>(
        &self,
        objects: &[T],
        shape: impl Fn(&T) -> &'a Shape,
    ) -> (String, Vec<String>) {
        let json = match self {
            Style::Indented => indented(objects),
            Style::Compact => serde_json::to_string(objects),
            Style::Template(template) => return templated(template, objects, shape),
        };
        match json {
            Ok(text) => (text + "\n", Vec::new()),
            Err(error) => ("[]\n".to_owned(), vec![error.to_string()]),
        }
    }
}

fn templated<'a, T: Serialize>(
    template: &Template,
    objects: &[T],
    shape: impl Fn(&T) -> &'a Shape,
) -> (String, Vec<String>) {
    let (mut text, mut errors) = (String::new(), Vec::new());
    for object in objects {
        let value = serde_json::to_value(object).unwrap_or(Value::Null);
        let data = Data { shape: shape(object), missing: Missing::Error, ..Data::new(&value) };
        match template.execute(&data) {
            Ok(one) => text.extend([&one, "\n"]),
            Err(error) => errors.push(format!("template parsing error: {error}")),
        }
    }
    if text.is_empty() {
        text.push('\n');
    }
    (text, errors)
}

/// One object that is no list: as JSON in a line, or what a template makes of it.
pub(crate) fn one(style: &Style, value: &Value) -> Result<String, Failure> {
    match style {
        Style::Indented | Style::Compact => Ok(format!("{value}\n")),
        Style::Template(template) => {
            let wrong = |error| Failure::plain(format!("template parsing error: {error}")).code(BAD_TEMPLATE);
            let data = Data { missing: Missing::Error, ..Data::new(value) };
            Ok(template.execute(&data).map_err(wrong)? + "\n")
        }
    }
}

/// As Go's `json.Indent` with four spaces: empty lists and objects in one line.
fn indented<T: Serialize>(objects: &[T]) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    objects.serialize(&mut serializer)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(format: Option<&str>) -> (String, Vec<String>) {
        let objects = [json!({"Id": "a", "List": [], "Map": {"k": 1}}), json!({"Id": "b"})];
        Style::parse(format).unwrap().render(&objects, &Shape::Any)
    }

    #[test]
    fn styles() {
        assert_eq!(
            render(None).0,
            "[\n    {\n        \"Id\": \"a\",\n        \"List\": [],\n        \"Map\": {\n            \"k\": 1\n        \
             }\n    },\n    {\n        \"Id\": \"b\"\n    }\n]\n"
        );
        assert_eq!(render(Some("json")).0, "[{\"Id\":\"a\",\"List\":[],\"Map\":{\"k\":1}},{\"Id\":\"b\"}]\n");
        assert_eq!(render(Some("{{.Id}}")), ("a\nb\n".to_owned(), vec![]));
        let (text, errors) = render(Some("{{.Map.k}}"));
        assert_eq!(text, "1\n");
        assert_eq!(
            errors,
            [
                "template parsing error: template: :1:6: executing \"\" at <.Map.k>: map has no entry for key \"Map\""
            ]
        );
    }

    #[test]
    fn nothing_found() {
        let none: [Value; 0] = [];
        assert_eq!(Style::Indented.render(&none, &Shape::Any).0, "[]\n");
        assert_eq!(Style::parse(Some("{{.Id}}")).unwrap().render(&none, &Shape::Any).0, "\n");
        assert!(Style::parse(Some("{{.Id")).is_err());
    }
}
