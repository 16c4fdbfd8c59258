//! What changes make of the `config` member of an image config.

use serde_json::{Map, Value, json};

use super::change::{Change, Instruction};
use super::word::expand;

impl Change {
    /// Applies changes in their order. An ENTRYPOINT takes back the command that was there before, unless a CMD among the
    /// changes set it.
    pub fn apply_all(changes: &[Self], config: &mut Map<String, Value>) {
        let mut has_command = false;
        for change in changes {
            has_command |= matches!(change.0, Instruction::Cmd(_));
            if matches!(change.0, Instruction::Entrypoint(_)) && !has_command {
                config.remove("Cmd");
            }
            change.apply(config);
        }
    }

    fn apply(&self, config: &mut Map<String, Value>) {
        let environment: Vec<String> = strings(config.get("Env"));
        let variable = |name: &str| {
            let value =
                environment.iter().rev().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
            value.map(str::to_owned)
        };
        // Words were checked when they were parsed.
        let value = |word: &String| expand(word, &variable).unwrap_or_else(|_| word.clone());
        let mut set = |member: &str, value: Value| drop(config.insert(member.to_owned(), value));
        match &self.0 {
            Instruction::Cmd(words) => set("Cmd", json!(words)),
            Instruction::Entrypoint(words) => set("Entrypoint", json!(words)),
            Instruction::User(user) => set("User", value(user).into()),
            Instruction::StopSignal(signal) => set("StopSignal", value(signal).into()),
            Instruction::Healthcheck(check) => set("Healthcheck", check.value()),
            Instruction::WorkingDir(path) => {
                let path = working_dir(config.get("WorkingDir").and_then(Value::as_str), &value(path));
                config.insert("WorkingDir".to_owned(), path.into());
            }
            Instruction::Env(pairs) => {
                let mut environment = environment.clone();
                for (key, word) in pairs {
                    let (key, word) = (value(key), value(word));
                    let entry = format!("{key}={word}");
                    let same = |known: &&mut String| known.split('=').next() == Some(key.as_str());
                    match environment.iter_mut().find(same) {
                        Some(known) => *known = entry,
                        None => environment.push(entry),
                    }
                }
                config.insert("Env".to_owned(), environment.into());
            }
            Instruction::Label(pairs) => {
                let labels = pairs.iter().map(|(key, word)| (value(key), value(word).into()));
                extend(config, "Labels", labels);
            }
            Instruction::Expose(ports) => {
                let ports = ports.iter().flat_map(|port| expose(&value(port)));
                extend(config, "ExposedPorts", ports.map(|port| (port, json!({}))));
            }
            Instruction::Volume(paths) => {
                extend(config, "Volumes", paths.iter().map(|path| (value(path), json!({}))));
            }
            Instruction::OnBuild(trigger) => {
                let mut triggers = strings(config.get("OnBuild"));
                triggers.push(trigger.clone());
                config.insert("OnBuild".to_owned(), triggers.into());
            }
        }
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn extend(config: &mut Map<String, Value>, member: &str, items: impl Iterator<Item = (String, Value)>) {
    let mut map = match config.remove(member) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    map.extend(items);
    config.insert(member.to_owned(), map.into());
}

/// A relative path is below the one before; `.` and `..` are resolved.
fn working_dir(before: Option<&str>, path: &str) -> String {
    let whole =
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", before.unwrap_or("/")) };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `80`, `80/udp` or `80-82/tcp` as single ports with their protocol; what is no port stays as it is, for the engine to
/// refuse.
fn expose(port: &str) -> Vec<String> {
    let (numbers, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last => {
            (first..=last).map(|number| format!("{number}/{protocol}")).collect()
        }
        _ => vec![format!("{numbers}/{protocol}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(before: Value, changes: &[&str]) -> Value {
        let Value::Object(mut config) = before else { panic!("a map") };
        let changes: Vec<Change> = changes.iter().map(|change| change.parse().unwrap()).collect();
        Change::apply_all(&changes, &mut config);
        config.into()
    }

    #[test]
    fn each_instruction() {
        for (change, expected) in [
            (r#"CMD ["a", "b c"]"#, json!({ "Cmd": ["a", "b c"] })),
            ("cmd echo hi", json!({ "Cmd": ["/bin/sh", "-c", "echo hi"] })),
            ("CMD []", json!({ "Cmd": [] })),
            (r#"ENTRYPOINT ["/x"]"#, json!({ "Entrypoint": ["/x"] })),
            (r#"ENV A=b "C D"='e f' G=$A"#, json!({ "Env": ["A=b", "C D=e f", "G="] })),
            ("ENV A b  c", json!({ "Env": ["A=b  c"] })),
            (r#"LABEL a="b c" d=e"#, json!({ "Labels": { "a": "b c", "d": "e" } })),
            (
                "EXPOSE 80 53/UDP 8000-8001",
                json!({ "ExposedPorts": { "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {} } }),
            ),
            ("USER nobody", json!({ "User": "nobody" })),
            (r#"VOLUME ["/a b", "/c"]"#, json!({ "Volumes": { "/a b": {}, "/c": {} } })),
            ("VOLUME /a /b", json!({ "Volumes": { "/a": {}, "/b": {} } })),
            ("WORKDIR a/../b", json!({ "WorkingDir": "/b" })),
            ("STOPSIGNAL SIGINT", json!({ "StopSignal": "SIGINT" })),
            ("HEALTHCHECK NONE", json!({ "Healthcheck": { "Test": ["NONE"] } })),
            ("ONBUILD RUN make", json!({ "OnBuild": ["RUN make"] })),
        ] {
            assert_eq!(applied(json!({}), &[change]), expected, "{change}");
        }
    }

    #[test]
    fn changes_stand_on_what_was_before() {
        let before =
            json!({ "Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "WorkingDir": "/srv", "Labels": null });
        let after = applied(
            before,
            &[
                "ENV PATH=$PATH:/x",
                "ENV A=2",
                "WORKDIR www",
                "ENTRYPOINT [\"/e\"]",
                "LABEL a=$A",
                "USER ${U:-root}",
            ],
        );
        assert_eq!(
            after,
            json!({
                "Env": ["PATH=/bin:/x", "A=2"], "WorkingDir": "/srv/www", "Entrypoint": ["/e"],
                "Labels": { "a": "2" }, "User": "root",
            })
        );
        let kept = applied(json!({}), &["CMD [\"c\"]", "ENTRYPOINT [\"/e\"]"]);
        assert_eq!(kept, json!({ "Cmd": ["c"], "Entrypoint": ["/e"] }));
    }

    #[test]
    fn what_is_no_change() {
        for (text, reason) in [
            ("", "\"\": "),
            ("RUN make", "RUN is not a valid change command"),
            ("FROM x", "FROM is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV A=b C", "can't find = in \"C\""),
            ("ENV =b", "ENV names can not be blank"),
            ("LABEL a='b", "open single quote"),
            ("USER", "USER requires exactly one argument"),
            ("VOLUME [\"\"]", "VOLUME specified can not be an empty string"),
            ("EXPOSE", "EXPOSE requires at least one argument"),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
            ("HEALTHCHECK x", "neither CMD nor NONE"),
        ] {
            let error = text.parse::<Change>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
