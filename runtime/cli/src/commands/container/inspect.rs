//! `sandbox container inspect`.

use sandbox_template::{Field, Shape, Struct};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::containers::ContainerInspectFlags;
use crate::format::{self, inspect::Style};

const TEXTS: Shape = Shape::List(&Shape::Text);
const SET: Shape = Shape::Map(&Shape::Any);

const HEALTH: Struct = Struct {
    name: "*container.Health",
    fields: &[
        Field::new("Status", Shape::Text),
        Field::new("FailingStreak", Shape::Number),
        Field::new("Log", Shape::List(&Shape::Any)),
    ],
};

const STATE: Struct =
    Struct { name: "*container.State", fields: &[Field::new("Health", Shape::Struct(&HEALTH))] };

const HOST_CONFIG: Struct = Struct {
    name: "*container.HostConfig",
    fields: &[
        Field::new("Binds", TEXTS),
        Field::new("CapAdd", TEXTS),
        Field::new("CapDrop", TEXTS),
        Field::new("GroupAdd", TEXTS),
        Field::new("ExtraHosts", TEXTS),
        Field::new("Links", TEXTS),
        Field::new("SecurityOpt", TEXTS),
        Field::new("PortBindings", SET),
        Field::new("Annotations", Shape::Map(&Shape::Text)),
        Field::new("Tmpfs", Shape::Map(&Shape::Text)),
        Field::new("Sysctls", Shape::Map(&Shape::Text)),
        Field::new("Init", Shape::Flag),
    ],
};

/// What a container shares with its image, and more.
const CONFIG: Struct = Struct {
    name: "*container.Config",
    fields: &[
        Field::new("Cmd", TEXTS),
        Field::new("Entrypoint", TEXTS),
        Field::new("Env", TEXTS),
        Field::new("Volumes", SET),
        Field::new("ExposedPorts", SET),
        Field::new("Labels", Shape::Map(&Shape::Text)),
        Field::new("StopSignal", Shape::Text),
        Field::new("StopTimeout", Shape::Number),
        Field::new("OnBuild", TEXTS),
        Field::new("Shell", TEXTS),
        Field::new(
            "Healthcheck",
            Shape::Struct(&Struct { name: "*dockerspec.HealthcheckConfig", fields: &[] }),
        ),
    ],
};

const NETWORK_SETTINGS: Struct = Struct {
    name: "*container.NetworkSettings",
    fields: &[
        Field::new("Ports", SET),
        Field::new(
            "Networks",
            Shape::Map(&Shape::Struct(&Struct { name: "*network.EndpointSettings", fields: &[] })),
        ),
    ],
};

const GRAPH_DRIVER: Struct =
    Struct { name: "*storage.DriverData", fields: &[Field::new("Data", Shape::Map(&Shape::Text))] };

const MOUNT: Struct = Struct {
    name: "container.MountPoint",
    fields: &[Field::new("Name", Shape::Text), Field::new("Driver", Shape::Text)],
};

/// A container (moby's `container.InspectResponse`).
const CONTAINER: Struct = Struct {
    name: "container.InspectResponse",
    fields: &[
        Field { name: "ID", key: "Id", shape: Shape::Text },
        Field::new("State", Shape::Struct(&STATE)),
        Field::new("HostConfig", Shape::Struct(&HOST_CONFIG)),
        Field::new("GraphDriver", Shape::Struct(&GRAPH_DRIVER)),
        Field::new("Mounts", Shape::List(&Shape::Struct(&MOUNT))),
        Field::new("Config", Shape::Struct(&CONFIG)),
        Field::new("NetworkSettings", Shape::Struct(&NETWORK_SETTINGS)),
        Field::new("ExecIDs", TEXTS),
        Field::new("SizeRw", Shape::Number),
        Field::new("SizeRootFs", Shape::Number),
    ],
};

/// What templates see of a container.
pub(in crate::commands) const SHAPE: Shape = Shape::Struct(&CONTAINER);

pub(in crate::commands) fn run(global: &Global, flags: &ContainerInspectFlags) -> Result<u8, Failure> {
    let style = Style::parse(flags.format.as_deref())?;
    let engine = crate::commands::engine(global)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in &flags.containers {
        match engine.find(name).and_then(|container| engine.inspect_container(container, flags.size)) {
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
    use serde_json::json;

    fn formatted(format: &str) -> String {
        let container = json!({
            "Id": "abc",
            "State": {"Status": "running", "Running": true},
            "HostConfig": {"Isolation": "vm", "Binds": null},
            "Mounts": [{"Type": "bind", "Source": "/a", "Destination": "/b"}],
            "Config": {"Cmd": ["sleep", "9"], "Labels": {"tier": "web"}},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
        });
        let (text, errors) = Style::parse(Some(format)).unwrap().render(&[container], &SHAPE);
        if errors.is_empty() { text } else { errors.join("\n") }
    }

    #[test]
    fn what_scripts_ask_for() {
        for (format, expected) in [
            ("{{.ID}} {{.State.Status}} {{.State.Running}}", "abc running true\n"),
            ("{{.HostConfig.Isolation}}{{range .HostConfig.Binds}}x{{end}}", "vm\n"),
            ("{{.NetworkSettings.Networks.bridge.IPAddress}}", "172.17.0.2\n"),
            (
                "{{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.IPAddress}}{{end}}",
                "bridge=172.17.0.2\n",
            ),
            (
                "{{index .Config.Labels \"tier\"}} {{json .Config.Cmd}} {{.Config.Entrypoint}}",
                "web [\"sleep\",\"9\"] []\n",
            ),
            ("{{range .Mounts}}{{.Source}}:{{.Destination}}{{.Name}}{{end}}", "/a:/b\n"),
            ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none\n"),
        ] {
            assert_eq!(formatted(format), expected, "{format}");
        }
        assert!(formatted("{{.Nope}}").contains("map has no entry for key \"Nope\""));
    }
}
