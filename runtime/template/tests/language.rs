//! The language as Go's text/template has it, on plain JSON.

use rstest::rstest;
use sandbox_template::{Data, Template};
use serde_json::{Value, json};

fn value() -> Value {
    json!({
        "Name": "web", "Empty": "", "Zero": 0, "N": 42, "Big": 18_446_744_073_709_551_615u64, "F": 1.5,
        "Yes": true, "No": false, "Nil": null, "List": ["a", "b", "c"], "None": [], "Ints": [1, 2, 3],
        "Map": {"k": "v", "a.b": "dotted", "deep": {"x": [10, 20]}}, "Html": "<a href='x'>&\"",
        "Objects": [{"Id": 1, "On": true}, {"Id": 2, "On": false}],
    })
}

fn run(template: &str) -> String {
    let value = value();
    match Template::parse(template).and_then(|parsed| parsed.execute(&Data::new(&value))) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

#[rstest]
#[case("plain", "plain")]
#[case("", "")]
#[case("{{.Name}}", "web")]
#[case("{{ .Name }}-{{\t.N\n}}", "web-42")]
#[case("{{.Map.k}} {{.Map.deep.x}}", "v [10 20]")]
#[case("{{.Big}} {{.F}} {{.Yes}} {{.Nil}}", "18446744073709551615 1.5 true <no value>")]
#[case("{{.List}} {{.None}}", "[a b c] []")]
#[case("{{.Map}}", "map[a.b:dotted deep:map[x:[10 20]] k:v]")]
#[case("{{.Missing}} {{.Missing.Deeper}} {{.Map.nope}}", "<no value> <no value> <no value>")]
#[case("{{$.Name}} {{with .Map}}{{.k}} {{$.N}}{{end}}", "web v 42")]
#[case("{{(.Map).k}} {{(index .Objects 1).Id}}", "v 2")]
#[case("{{1}} {{-3}} {{0x10}} {{1_000}} {{2.50}} {{'a'}} {{1e3}}", "1 -3 16 1000 2.5 97 1000")]
#[case(r#"{{"a\tb\"" }}{{`raw\n`}}"#, "a\tb\"raw\\n")]
#[case("{{true}} {{false}}", "true false")]
fn values(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("a {{- .N -}} b", "a42b")]
#[case("a \n{{- 1}}  {{2 -}}\n\t b", "a1  2b")]
#[case("{{/* a comment */}}x", "x")]
#[case("a {{- /* both */ -}} b", "ab")]
#[case("a {{/* one */ -}} b", "a b")]
#[case("{{- .N}}", "42")]
#[case("{{-3}}{{- 3}}", "-33")]
fn trims_and_comments(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("{{if .Yes}}1{{end}}", "1")]
#[case("{{if .No}}1{{else}}2{{end}}", "2")]
#[case("{{if .No}}1{{else}}{{if .Yes}}2{{end}}3{{end}}", "23")]
#[case("{{if .No}}1{{else if .Zero}}2{{else if .Name}}3{{else}}4{{end}}", "3")]
#[case(
    "{{if .Empty}}1{{end}}{{if .None}}2{{end}}{{if .Nil}}3{{end}}{{if .Missing}}4{{end}}{{if .List}}5{{end}}",
    "5"
)]
#[case("{{if and .Yes .Name}}1{{end}}{{if or .No .Empty}}2{{end}}{{if not .No}}3{{end}}", "13")]
#[case("{{with .Name}}{{.}}{{else}}none{{end}}", "web")]
#[case("{{with .Empty}}{{.}}{{else}}none{{end}}", "none")]
#[case("{{with .Empty}}1{{else with .N}}{{.}}{{end}}", "42")]
#[case("{{with $x := .N}}{{$x}}{{.}}{{end}}", "4242")]
#[case("{{if $x := .N}}{{$x}}{{end}}", "42")]
fn conditions(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("{{range .List}}<{{.}}>{{end}}", "<a><b><c>")]
#[case("{{range .None}}x{{else}}empty{{end}}{{range .Nil}}x{{else}}nil{{end}}", "emptynil")]
#[case("{{range $i, $x := .List}}{{if $i}},{{end}}{{$i}}={{$x}}{{end}}", "0=a,1=b,2=c")]
#[case("{{range $x := .List}}{{$x}}{{end}}", "abc")]
#[case("{{range $k, $v := .Map}}{{$k}} {{end}}", "a.b deep k ")]
#[case("{{range .Map.deep}}{{.}}{{end}}", "[10 20]")]
#[case("{{range .Objects}}{{if .On}}{{.Id}}{{end}}{{end}}", "1")]
#[case("{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac")]
#[case("{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a")]
#[case("{{range .Ints}}{{range $.List}}{{break}}{{end}}{{.}}{{end}}", "123")]
#[case("{{range 3}}{{.}}{{end}}{{range $i := 2}}{{$i}}{{end}}", "01201")]
#[case("{{$last := 0}}{{range $x := .Ints}}{{$last = $x}}{{end}}{{$last}}", "3")]
#[case("{{$x := 1}}{{if .Yes}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21")]
#[case("{{$x := .Map}}{{$x.deep.x}}", "[10 20]")]
fn loops_and_variables(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .N}}{{template \"x\"}}", "<42><<no value>>")]
#[case("{{block \"x\" .Name}}[{{.}}]{{end}}{{template \"x\" 1}}", "[web][1]")]
#[case(
    "{{define \"r\"}}{{if .}}{{index . 0}}{{template \"r\" slice . 1}}{{end}}{{end}}{{template \"r\" .List}}",
    "abc"
)]
fn templates(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("{{.Name | upper | printf \"%s-%s\" \"x\"}}", "x-WEB")]
#[case("{{print .N (len .List) \"a\" \"b\" 1 2}}", "42 3ab1 2")]
#[case("{{println .N \"a\"}}", "42 a\n")]
#[case("{{len .Name}} {{len .List}} {{len .Map}} {{len .None}}", "3 3 3 0")]
#[case("{{index .List 1}} {{index .Map \"a.b\"}} {{index .Map \"deep\" \"x\" 1}}", "b dotted 20")]
#[case("{{index .Map \"nope\"}}", "<no value>")]
#[case("{{slice .List 1}} {{slice .List 1 2}} {{slice .Name 1 2}} {{slice .List}}", "[b c] [b] e [a b c]")]
#[case("{{and 1 0 2}} {{or 0 \"\" 3}} {{or 0 \"\"}}| {{and .Yes .Name}}", "0 3 | web")]
#[case("{{or .Name (index .List 99)}}", "web")]
#[case("{{html .Html}}", "&lt;a href=&#39;x&#39;&gt;&amp;&#34;")]
#[case("{{js .Html}}", "\\u003Ca href\\u003D\\'x\\'\\u003E\\u0026\\\"")]
#[case("{{urlquery \"a b&c/é\"}}", "a+b%26c%2F%C3%A9")]
#[case("{{not 0}} {{not .Name}}", "true false")]
#[case("{{html .Missing}} {{urlquery nil}}", "&lt;no value&gt; %3Cno+value%3E")]
fn functions_of_go(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("{{eq .N 42}} {{eq .N 1 42}} {{eq .Name \"web\"}} {{ne .Name \"x\"}}", "true true true true")]
#[case("{{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge \"b\" \"a\"}} {{lt 1.5 2.5}}", "true true false true true")]
#[case("{{eq .Nil nil}} {{eq .Yes true}}", "true true")]
#[case("{{eq .Nil \"\"}}", "false")]
#[case(
    "{{eq .N \"42\"}}",
    "template: :1:2: executing \"\" at <eq .N \"42\">: error calling eq: incompatible types for comparison"
)]
#[case(
    "{{lt .Yes .No}}",
    "template: :1:2: executing \"\" at <lt .Yes .No>: error calling lt: invalid type for comparison"
)]
#[case(
    "{{eq .List .List}}",
    "template: :1:2: executing \"\" at <eq .List .List>: error calling eq: non-comparable type [a b c]: []interface {}"
)]
fn comparisons(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("{{json .Map}}", r#"{"a.b":"dotted","deep":{"x":[10,20]},"k":"v"}"#)]
#[case("{{json .Html}}", r#""<a href='x'>&\"""#)]
#[case("{{json .Missing}} {{json .List}} {{.Name | json}}", "null [\"a\",\"b\",\"c\"] \"web\"")]
#[case("{{join .List \", \"}} {{split \"a:b:c\" \":\"}} {{len (split \"\" \":\")}}", "a, b, c [a b c] 1")]
#[case("[{{join .Missing \",\"}}]", "[]")]
#[case("{{title \"two words\"}} {{upper .Name}} {{lower \"ABC\"}}", "Two Words WEB abc")]
#[case("[{{pad .Name 1 2}}] [{{pad .Empty 1 2}}]", "[ web  ] []")]
#[case("{{truncate .Name 2}} {{truncate .Name 10}} {{truncate \"äöü\" 2}}", "we web äö")]
#[case("{{json \"\u{2028}\"}}", "\"\\u2028\"")]
fn functions_of_docker(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case("{{.Name", "template: :1: unclosed action")]
#[case("{{.Name}", "template: :1: bad character U+007D '}'")]
#[case("{{}}", "template: :1: missing value for command")]
#[case("{{if}}x{{end}}", "template: :1: missing value for if")]
#[case("{{if .N}}x", "template: :1: unexpected EOF")]
#[case("a\nb{{end}}", "template: :2: unexpected {{end}}")]
#[case("{{else}}", "template: :1: unexpected {{else}}")]
#[case("{{if .N}}{{else}}{{else}}{{end}}", "template: :1: expected end; found {{else}}")]
#[case("{{frob .N}}", "template: :1: function \"frob\" not defined")]
#[case("{{$x}}", "template: :1: undefined variable \"$x\"")]
#[case("{{if $x := 1}}{{end}}{{$x}}", "template: :1: undefined variable \"$x\"")]
#[case("{{\"abc}}", "template: :1: unterminated quoted string")]
#[case("{{`abc}}", "template: :1: unterminated raw quoted string")]
#[case("{{'abc}}", "template: :1: unterminated character constant")]
#[case("{{'abc'}}", "template: :1: malformed character constant: 'abc'")]
#[case("{{\"\\q\"}}", "template: :1: invalid syntax")]
#[case("{{(.N}}", "template: :1: unclosed left paren")]
#[case("{{.N)}}", "template: :1: unexpected right paren")]
#[case("{{/* x }}", "template: :1: unclosed comment")]
#[case("{{/* x */ y}}", "template: :1: comment ends before closing delimiter")]
#[case("{{12x}}", "template: :1: bad number syntax: \"12x\"")]
#[case("{{.N | 3}}", "template: :1: non executable command in pipeline stage 2")]
#[case("{{\"a\".b}}", "template: :1: unexpected . after term \"\\\"a\\\"\"")]
#[case("{{#}}", "template: :1: unexpected \"#\" in command")]
#[case("{{break}}", "template: :1: {{break}} outside {{range}}")]
#[case("{{range $a, $b, $c := .List}}{{end}}", "template: :1: too many declarations in range")]
#[case("{{if .N}}{{else range .List}}{{end}}{{end}}", "template: :1: unexpected <range> in else")]
#[case("{{template x}}", "template: :1: unexpected \"x\" in template clause")]
#[case("{{define \"x\"}}", "template: :1: unexpected EOF")]
fn errors_of_parsing(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}

#[rstest]
#[case(
    "{{.Name.First}}",
    "template: :1:7: executing \"\" at <.Name.First>: can't evaluate field First in type interface {}"
)]
#[case(
    "x\n {{.N.x}}",
    "template: :2:5: executing \"\" at <.N.x>: can't evaluate field x in type interface {}"
)]
#[case(
    "{{index .List 5}}",
    "template: :1:2: executing \"\" at <index .List 5>: error calling index: index out of range: 5"
)]
#[case(
    "{{index .List \"a\"}}",
    "template: :1:2: executing \"\" at <index .List \"a\">: error calling index: cannot index slice/array with type string"
)]
#[case(
    "{{index .N 1}}",
    "template: :1:2: executing \"\" at <index .N 1>: error calling index: can't index item of type int"
)]
#[case(
    "{{index .Missing 1}}",
    "template: :1:2: executing \"\" at <index .Missing 1>: error calling index: index of untyped nil"
)]
#[case("{{len .N}}", "template: :1:2: executing \"\" at <len .N>: error calling len: len of type int")]
#[case("{{upper 3}}", "template: :1:8: executing \"\" at <3>: expected string; found 3")]
#[case(
    "{{upper .N}}",
    "template: :1:8: executing \"\" at <.N>: wrong type for value; expected string; got int"
)]
#[case("{{upper .Missing}}", "template: :1:8: executing \"\" at <.Missing>: invalid value; expected string")]
#[case(
    "{{upper}}",
    "template: :1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 0"
)]
#[case(
    "{{truncate .Name \"x\"}}",
    "template: :1:17: executing \"\" at <\"x\">: expected integer; found \"x\""
)]
#[case(
    "{{printf}}",
    "template: :1:2: executing \"\" at <printf>: wrong number of args for printf: want at least 1 got 0"
)]
#[case("{{.Name 1}}", "template: :1:2: executing \"\" at <.Name>: Name is not a method but has arguments")]
#[case("{{3 4}}", "template: :1:2: executing \"\" at <3>: can't give argument to non-function 3")]
#[case("{{nil}}", "template: :1:2: executing \"\" at <nil>: nil is not a command")]
#[case("{{range .Name}}{{end}}", "template: :1:8: executing \"\" at <.Name>: range can't iterate over web")]
#[case(
    "{{template \"x\"}}",
    "template: :1:11: executing \"\" at <{{template \"x\"}}>: template \"x\" not defined"
)]
#[case(
    "{{define \"r\"}}{{.Name.x}}{{end}}{{template \"r\" .}}",
    "template: :1:21: executing \"r\" at <.Name.x>: can't evaluate field x in type interface {}"
)]
fn errors_of_execution(#[case] template: &str, #[case] want: &str) {
    assert_eq!(run(template), want);
}
