//! `printf` as Go's fmt has it.

use rstest::rstest;
use sandbox_template::{Data, Template};
use serde_json::json;

fn run(arguments: &str) -> String {
    let value =
        json!({"S": "héy", "N": 42, "F": 3.25, "B": true, "L": ["a", 1], "M": {"k": "v"}, "Nil": null});
    let parsed = Template::parse(&format!("{{{{printf {arguments}}}}}"));
    match parsed.and_then(|parsed| parsed.execute(&Data::new(&value))) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

#[rstest]
#[case(r#""%s|%v|%q" .S .S .S"#, "héy|héy|\"héy\"")]
#[case(r#""%5s|%-5s|%.2s|%05s" .S .S .S .S"#, "  héy|héy  |hé|00héy")]
#[case(r#""%x|%X|% x" "hi!" "hi!" "hi!""#, "686921|686921|68 69 21")]
#[case(r#""%+q|%#q|%#v" .S "a" "a""#, "\"h\\u00e9y\"|`a`|\"a\"")]
#[case(r#""%d|%5d|%-5d|%05d|%+d" .N .N .N .N .N"#, "42|   42|42   |00042|+42")]
#[case(r#""%x|%X|%#x|%o|%b|%c|%U|%q" 255 255 255 8 5 65 65 65"#, "ff|FF|0xff|10|101|A|U+0041|'A'")]
#[case(r#""%06d|%.5d|% d" -42 42 7"#, "-00042|00042| 7")]
#[case(
    r#""%v|%f|%.2f|%8.2f|%e|%g|%.3g" .F .F .F .F .F .F .F"#,
    "3.25|3.250000|3.25|    3.25|3.250000e+00|3.25|3.25"
)]
#[case(r#""%t|%v|%6t" .B .B .B"#, "true|true|  true")]
#[case(r#""%v|%s|%q" .L .L .L"#, "[a 1]|[a %!s(int=1)]|[\"a\" '\\x01']")]
#[case(r#""%v|%s" .M .M"#, "map[k:v]|map[k:v]")]
#[case(r#""%#v" .M"#, "map[string]interface {}{\"k\":\"v\"}")]
#[case(r#""%v|%s|%d" .Nil .Nil .Nil"#, "<nil>|%!s(<nil>)|%!d(<nil>)")]
#[case(r#""%T %T %T %T %T" .S .N .F .B .L"#, "string int float64 bool []interface {}")]
#[case(r#""%d|%s|%t" .S .N 1"#, "%!d(string=héy)|%!s(int=42)|%!t(int=1)")]
#[case(r#""%d%%" 5"#, "5%")]
#[case(r#""%d %d" 1"#, "1 %!d(MISSING)")]
#[case(r#""%d" 1 2 "x""#, "1%!(EXTRA int=2, string=x)")]
#[case(r#""100%""#, "100%!(NOVERB)")]
#[case(r#""%z" 1"#, "%!z(int=1)")]
#[case(r#""%*d|%-*d|%.*f" 5 42 5 42 1 2.55"#, "   42|42   |2.5")]
#[case(r#""%[2]s %[1]s" "a" "b""#, "b a")]
#[case(r#""%[3]s" "a""#, "%!s(BADINDEX)")]
fn formats(#[case] arguments: &str, #[case] want: &str) {
    assert_eq!(run(arguments), want);
}
