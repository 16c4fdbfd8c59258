//! What typed data makes of missing members, methods, and what a template may spend.

use rstest::rstest;
use sandbox_template::{Data, Field, Functions, Limits, Methods, Missing, Shape, Struct, Template};
use serde_json::{Value, json};

const HEALTH: Struct =
    Struct { name: "*container.Health", fields: &[Field::new("Log", Shape::List(&Shape::Any))] };
const STATE: Struct = Struct {
    name: "*container.State",
    fields: &[Field::new("Health", Shape::Struct(&HEALTH)), Field::new("Error", Shape::Text)],
};
const CONFIG: Struct = Struct {
    name: "*container.Config",
    fields: &[Field::new("Labels", Shape::Map(&Shape::Text)), Field::new("Cmd", Shape::List(&Shape::Text))],
};
const ROOT: Struct = Struct {
    name: "container",
    fields: &[
        Field { name: "ID", key: "Id", shape: Shape::Text },
        Field::new("State", Shape::Struct(&STATE)),
        Field::new("Config", Shape::Struct(&CONFIG)),
    ],
};
const SHAPE: Shape = Shape::Struct(&ROOT);

struct Label;

impl Methods for Label {
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        (name == "Label").then(|| match arguments {
            [Value::String(key)] => Ok(json!(format!("value of {key}"))),
            _ => Err("wrong number of args".to_owned()),
        })
    }
}

fn execute(template: &str, missing: Missing) -> Result<String, String> {
    let value = json!({"Id": "abc", "State": {"Status": "running", "Pid": 1}, "Config": {"Labels": {"a": "b"}, "Cmd": null}});
    let data = Data { shape: &SHAPE, missing, methods: &Label, ..Data::new(&value) };
    let parsed = Template::parse(template).map_err(|e| e.to_string())?;
    parsed.execute(&data).map_err(|e| e.to_string())
}

#[rstest]
#[case("{{.Id}} {{.ID}}", "abc abc")]
#[case("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none")]
#[case("{{.State.Health}} [{{.State.Error}}] {{.Config.Cmd}}", "<nil> [] []")]
#[case("{{index .Config.Labels \"a\"}}|{{index .Config.Labels \"x\"}}|{{.Config.Labels.x}}", "b||<no value>")]
#[case("{{range .Config.Cmd}}x{{else}}none{{end}}", "none")]
#[case("{{eq .State.Error \"\"}}", "true")]
#[case("{{json .State.Health}} {{len .Config.Labels}}", "null 1")]
#[case("{{.Label \"k\"}} {{\"p\" | .Label}} {{$.Label \"x\" | upper}}", "value of k value of p VALUE OF X")]
fn known_fields(#[case] template: &str, #[case] want: &str) {
    assert_eq!(execute(template, Missing::Error).as_deref(), Ok(want));
}

#[rstest]
#[case(
    "{{.Nope}}",
    Missing::Error,
    "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""
)]
#[case(
    "{{.Nope}}",
    Missing::NoValue,
    "template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type container"
)]
#[case(
    "{{.State.Health.Status}}",
    Missing::Error,
    "template: :1:8: executing \"\" at <.State.Health.Status>: map has no entry for key \"Health\""
)]
#[case(
    "{{.State.Health.Status}}",
    Missing::NoValue,
    "template: :1:8: executing \"\" at <.State.Health.Status>: nil pointer evaluating *container.Health.Status"
)]
#[case(
    "{{.Label}}",
    Missing::Error,
    "template: :1:2: executing \"\" at <.Label>: error calling Label: wrong number of args"
)]
#[case(
    "{{.Nope 1}}",
    Missing::Error,
    "template: :1:2: executing \"\" at <.Nope>: Nope is not a method but has arguments"
)]
fn unknown_fields(#[case] template: &str, #[case] missing: Missing, #[case] want: &str) {
    assert_eq!(execute(template, missing), Err(want.to_owned()));
}

#[test]
fn headers_keep_names() {
    let value = json!({"ID": "CONTAINER ID"});
    let data = Data { functions: Functions::Header, ..Data::new(&value) };
    for (template, want) in [
        ("{{json .ID}}", "CONTAINER ID"),
        ("{{truncate .ID 3}}", "CONTAINER ID"),
        ("{{split .ID \" \"}}", "CONTAINER ID"),
        ("{{join .ID \"x\"}}", "CONTAINER ID"),
        ("{{lower .ID}}", "container id"),
    ] {
        assert_eq!(Template::parse(template).unwrap().execute(&data).unwrap(), want, "{template}");
    }
}

#[rstest]
#[case("{{range 1000000000000}}{{end}}", "steps")]
#[case("{{$x := \"aaaaaaaa\"}}{{range 100}}{{$x = printf \"%s%s\" $x $x}}{{end}}", "bytes")]
#[case("{{pad \"x\" 1000000000000 0}}", "bytes")]
#[case("{{range 1000}}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{{end}}", "result is longer")]
#[case("{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}", "exceeded maximum template depth")]
#[case("{{printf \"%1000000d%1000000d%1000000d\" 1 2 3}}", "bytes")]
fn bounds(#[case] template: &str, #[case] want: &str) {
    let limits = Limits { output: 10_000, memory: 1_000_000, steps: 10_000 };
    let value = Value::Null;
    let data = Data { limits, ..Data::new(&value) };
    let error = Template::parse(template).unwrap().execute(&data).unwrap_err().to_string();
    assert!(error.contains(want), "{template}: {error}");
}

#[test]
fn bounds_on_the_source() {
    for template in [
        "{{if 1}}".repeat(200),
        "{{".to_owned() + &"(".repeat(200),
        "{{if 1}}{{else if 1}}".to_owned() + &"{{else if 1}}".repeat(200),
        "x".repeat(300_000),
    ] {
        assert!(Template::parse(&template).is_err());
    }
}

#[test]
fn nothing_panics() {
    let words = [
        "{{", "}}", "-", " ", ".", "$", "x", "\"", "`", "'", "(", ")", "|", ":=", "=", ",", "1", "if", "end",
        "else", "range", "é", "/*", "*/", "\\",
    ];
    let value = json!({"x": [1]});
    let mut state = 1u64;
    for _ in 0..20_000 {
        let mut template = String::from("{{");
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            template.push_str(words[(state >> 33) as usize % words.len()]);
        }
        if let Ok(parsed) = Template::parse(&template) {
            let _ = parsed.execute(&Data::new(&value));
        }
    }
}
