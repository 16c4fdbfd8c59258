//! `sandbox image inspect`.

use sandbox_template::{Field, Shape, Struct};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::ImageInspectFlags;
use crate::format::{self, inspect::Style};

const TEXTS: Shape = Shape::List(&Shape::Text);
const SET: Shape = Shape::Map(&Shape::Any);

/// The config of an image (moby's `dockerspec.DockerOCIImageConfig`).
const CONFIG: Struct = Struct {
    name: "*dockerspec.DockerOCIImageConfig",
    fields: &[
        Field::new("User", Shape::Text),
        Field::new("ExposedPorts", SET),
        Field::new("Env", TEXTS),
        Field::new("Entrypoint", TEXTS),
        Field::new("Cmd", TEXTS),
        Field::new("Volumes", SET),
        Field::new("WorkingDir", Shape::Text),
        Field::new("Labels", Shape::Map(&Shape::Text)),
        Field::new("StopSignal", Shape::Text),
        Field::new("ArgsEscaped", Shape::Flag),
        Field::new("Healthcheck", Shape::Struct(&HEALTHCHECK)),
        Field::new("OnBuild", TEXTS),
        Field::new("Shell", TEXTS),
    ],
};

const HEALTHCHECK: Struct = Struct {
    name: "*dockerspec.HealthcheckConfig",
    fields: &[
        Field::new("Test", TEXTS),
        Field::new("Interval", Shape::Number),
        Field::new("Timeout", Shape::Number),
        Field::new("StartPeriod", Shape::Number),
        Field::new("StartInterval", Shape::Number),
        Field::new("Retries", Shape::Number),
    ],
};

const ROOT_FS: Struct = Struct { name: "image.RootFS", fields: &[Field::new("Layers", TEXTS)] };

const GRAPH_DRIVER: Struct =
    Struct { name: "*storage.DriverData", fields: &[Field::new("Data", Shape::Map(&Shape::Text))] };

/// An image (moby's `image.InspectResponse`).
const IMAGE: Struct = Struct {
    name: "image.InspectResponse",
    fields: &[
        Field { name: "ID", key: "Id", shape: Shape::Text },
        Field::new("RepoTags", TEXTS),
        Field::new("RepoDigests", TEXTS),
        Field::new("Parent", Shape::Text),
        Field::new("Comment", Shape::Text),
        Field::new("Created", Shape::Text),
        Field::new("Author", Shape::Text),
        Field::new("DockerVersion", Shape::Text),
        Field::new("Variant", Shape::Text),
        Field::new("OsVersion", Shape::Text),
        Field::new("Config", Shape::Struct(&CONFIG)),
        Field::new("GraphDriver", Shape::Struct(&GRAPH_DRIVER)),
        Field::new("RootFS", Shape::Struct(&ROOT_FS)),
    ],
};

/// What templates see of an image.
pub(in crate::commands) const SHAPE: Shape = Shape::Struct(&IMAGE);

pub(in crate::commands) fn run(global: &Global, flags: &ImageInspectFlags) -> Result<u8, Failure> {
    let style = Style::parse(flags.format.as_deref())?;
    let engine = crate::commands::engine(global)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for image in &flags.images {
        match engine.inspect_image(image) {
            Ok(inspection) => found.push(inspection),
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    let (text, errors) = style.render(&found, &SHAPE);
    format::print(&text)?;
    failures.extend(errors.into_iter().map(Failure::plain));
    Failure::all(failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_image::{DescriptorData, Digest, GraphDriver, GraphDriverData, Inspection, Metadata, RootFs};
    use serde_json::json;

    fn alpine() -> Inspection {
        let digest = |c: char| -> Digest { format!("sha256:{}", c.to_string().repeat(64)).parse().unwrap() };
        Inspection {
            id: digest('a'),
            repo_tags: vec!["alpine:3.22".to_owned(), "alpine:latest".to_owned()],
            repo_digests: vec![format!("alpine@{}", digest('b'))],
            comment: "buildkit.dockerfile.v0".to_owned(),
            created: "2025-07-15T20:48:08Z".to_owned(),
            author: String::new(),
            config: json!({"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "Labels": {"tier": "web"}, "WorkingDir": "/"}),
            architecture: "amd64".to_owned(),
            variant: String::new(),
            os: "linux".to_owned(),
            os_version: String::new(),
            size: 8_310_000,
            graph_driver: GraphDriver {
                data: GraphDriverData { lower_dir: String::new(), upper_dir: "/l/diff".to_owned() },
                name: "overlay2",
            },
            root_fs: RootFs { kind: "layers", layers: vec![digest('c')] },
            metadata: Metadata { last_tag_time: "2026-11-22T06:14:34Z".to_owned() },
            descriptor: DescriptorData {
                media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
                digest: digest('b'),
                size: 528,
            },
        }
    }

    fn formatted(format: &str) -> String {
        let (text, errors) = Style::parse(Some(format)).unwrap().render(&[alpine()], &SHAPE);
        if errors.is_empty() { text } else { errors.join("\n") }
    }

    #[test]
    fn as_docker_prints_it() {
        let (text, _) = Style::parse(None).unwrap().render(&[alpine()], &SHAPE);
        let hex = |c: char| c.to_string().repeat(64);
        let expected = format!(
            r#"[
    {{
        "Id": "sha256:{}",
        "RepoTags": [
            "alpine:3.22",
            "alpine:latest"
        ],
        "RepoDigests": [
            "alpine@sha256:{}"
        ],
        "Comment": "buildkit.dockerfile.v0",
        "Created": "2025-07-15T20:48:08Z",
        "Config": {{
            "Cmd": [
                "/bin/sh"
            ],
            "Env": [
                "PATH=/bin"
            ],
            "Labels": {{
                "tier": "web"
            }},
            "WorkingDir": "/"
        }},
        "Architecture": "amd64",
        "Os": "linux",
        "Size": 8310000,
        "GraphDriver": {{
            "Data": {{
                "UpperDir": "/l/diff"
            }},
            "Name": "overlay2"
        }},
        "RootFS": {{
            "Type": "layers",
            "Layers": [
                "sha256:{}"
            ]
        }},
        "Metadata": {{
            "LastTagTime": "2026-11-22T06:14:34Z"
        }},
        "Descriptor": {{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:{}",
            "size": 528
        }}
    }}
]
"#,
            hex('a'),
            hex('b'),
            hex('c'),
            hex('b')
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn what_scripts_ask_for() {
        assert_eq!(formatted("{{.ID}}"), format!("sha256:{}\n", "a".repeat(64)));
        assert_eq!(formatted("{{index .RepoTags 0}} {{.Os}}/{{.Architecture}}"), "alpine:3.22 linux/amd64\n");
        assert_eq!(formatted("{{json .Config.Cmd}} {{.Config.Entrypoint}}"), "[\"/bin/sh\"] []\n");
        assert_eq!(formatted("{{index .Config.Labels \"tier\"}}|{{index .Config.Labels \"x\"}}|"), "web||\n");
        assert_eq!(formatted("{{range .RootFS.Layers}}{{slice . 7 10}}{{end}}"), "ccc\n");
        assert_eq!(formatted("{{if .Config.Healthcheck}}yes{{else}}no{{end}} [{{.Parent}}]"), "no []\n");
        assert_eq!(
            formatted("{{.Nope}}"),
            "template parsing error: template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""
        );
    }
}
