//! `--log-opt tag`: a template on what the container is.

use sandbox_template::{Data, Shape, Struct, Template};
use serde_json::json;

use super::Subject;
use super::options::Options;

/// Docker's for daemons: the short id.
pub(super) const DEFAULT: &str = "{{.ID}}";
const INFO: Struct = Struct { name: "logger.Info", fields: &[] };
/// Hex digits of a short id.
const SHORT: usize = 12;

/// Whether the template is one.
pub(super) fn validate(options: &Options) -> Result<(), String> {
    render(&Subject::default(), options, DEFAULT).map(drop)
}

/// The tag, `default` without the option or with an empty one.
pub(super) fn render(subject: &Subject, options: &Options, default: &str) -> Result<String, String> {
    let text = options.get("tag").filter(|text| !text.is_empty()).map_or(default, String::as_str);
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let short = |id: &str| id.get(..SHORT).unwrap_or(id).to_owned();
    let image = subject.image_id.strip_prefix("sha256:").unwrap_or(&subject.image_id);
    let value = json!({
        "ID": short(&subject.id),
        "FullID": subject.id,
        "Name": subject.name,
        "ImageID": short(image),
        "ImageFullID": subject.image_id,
        "ImageName": subject.image_name,
        "DaemonName": "sandbox",
        "Config": options,
        "ContainerID": subject.id,
        "ContainerName": format!("/{}", subject.name),
        "ContainerImageID": subject.image_id,
        "ContainerImageName": subject.image_name,
        "ContainerEnv": subject.env,
        "ContainerLabels": subject.labels,
    });
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    let data = Data { shape: &Shape::Struct(&INFO), ..Data::new(&value) };
    template.execute(&data).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_plain_texts() {
        let subject = Subject {
            id: "0123456789abcdef".repeat(4),
            name: "web".to_owned(),
            image_id: format!("sha256:{}", "fedcba9876543210".repeat(4)),
            image_name: "alpine:3".to_owned(),
            labels: [("tier".to_owned(), "front".to_owned())].into(),
            ..Subject::default()
        };
        let rendered = |tag: &str, default| {
            let options: Options = [("tag".to_owned(), tag.to_owned())].into();
            render(&subject, &options, default)
        };
        assert_eq!(rendered("", DEFAULT).unwrap(), "0123456789ab");
        assert_eq!(rendered("", "").unwrap(), "");
        assert_eq!(
            rendered("{{.ImageName}}/{{.Name}}/{{.ImageID}}", "").unwrap(),
            "alpine:3/web/fedcba987654"
        );
        assert_eq!(rendered("{{index .ContainerLabels \"tier\"}}", "").unwrap(), "front");
        assert_eq!(rendered("plain", DEFAULT).unwrap(), "plain");
        assert!(rendered("{{.Nope}}", DEFAULT).unwrap_err().contains("can't evaluate field Nope"));
    }
}
