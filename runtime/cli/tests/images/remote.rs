//! Pull and push.

use crate::place::{Place, noise};
use crate::registry::Registry;

/// An image in the registry that is nowhere else, with its digest.
fn pushed(registry: &Registry, name: &str) -> String {
    let place = Place::new();
    let full = registry.name(name);
    place.import(&full, &[("etc/greeting", b"hello"), ("data", &noise(100_000))]);
    let told = place.good(&["push", &full]);
    let digest = told.split("digest: ").nth(1).unwrap().split(' ').next().unwrap();
    digest.to_owned()
}

#[test]
fn push_and_pull_as_docker_tells_them() {
    let (registry, place) = (Registry::start(), Place::new());
    let name = registry.name("team/app");
    place.import(&name, &[("file", b"content")]);
    let told = place.good(&["push", &name]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "Using default tag: latest");
    assert_eq!(lines[1], format!("The push refers to repository [{name}]"));
    let layer = lines[2].split(':').next().unwrap();
    assert_eq!((layer.len(), lines[2]), (12, format!("{layer}: Preparing").as_str()), "{told}");
    assert!(lines.contains(&format!("{layer}: Pushed").as_str()), "{told}");
    let manifest = registry.manifest("team/app", "latest");
    let digest = sandbox_image::Digest::sha256(&manifest);
    assert_eq!(*lines.last().unwrap(), format!("latest: digest: {digest} size: {}", manifest.len()));
    let again = place.good(&["push", &name]);
    assert!(again.contains(": Layer already exists\n"), "{again}");
    assert_eq!(place.good(&["push", "-q", &name]), format!("{name}:latest\n"));

    let other = Place::new();
    let told = other.good(&["pull", &name]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["Using default tag: latest", "latest: Pulling from team/app"]);
    let blob = lines[2].split(':').next().unwrap();
    let states = ["Pulling fs layer", "Download complete", "Pull complete"].map(|s| format!("{blob}: {s}"));
    for state in &states {
        assert!(lines.contains(&state.as_str()), "{told}");
    }
    assert_eq!(
        lines[lines.len() - 3..],
        [
            format!("Digest: {digest}").as_str(),
            &format!("Status: Downloaded newer image for {name}:latest"),
            &format!("{name}:latest"),
        ]
    );
    let told = other.good(&["pull", &format!("{name}:latest")]);
    assert!(told.contains(&format!("Status: Image is up to date for {name}:latest\n")), "{told}");
    assert!(!told.contains("Using default tag"), "{told}");
    assert_eq!(other.good(&["pull", "-q", &name]), format!("{name}:latest\n"));
    assert_eq!(
        other.good(&["images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"]),
        format!("{name} latest {digest}\n")
    );
}

#[test]
fn a_manifest_goes_on_as_it_came() {
    let (registry, place) = (Registry::start(), Place::new());
    let digest = pushed(&registry, "one");
    let (one, two) = (registry.name("one"), registry.name("two"));
    place.good(&["pull", "-q", &format!("{one}@{digest}")]);
    place.good(&["tag", &format!("{one}@{digest}"), &two]);
    place.good(&["push", "-q", &two]);
    assert_eq!(registry.manifest("one", "latest"), registry.manifest("two", "latest"));
}

#[test]
fn all_tags() {
    let (registry, place) = (Registry::start(), Place::new());
    let name = registry.name("many");
    place.import(&format!("{name}:a"), &[("file", b"a")]);
    place.import(&format!("{name}:b"), &[("file", b"b")]);
    let told = place.good(&["push", "-a", &name]);
    assert_eq!(told.matches(": digest: sha256:").count(), 2, "{told}");
    let other = Place::new();
    let told = other.good(&["pull", "--all-tags", &name]);
    assert!(told.starts_with("a: Pulling from many\n") && told.contains("b: Pulling from many\n"), "{told}");
    assert!(told.ends_with(&format!("\n{name}\n")), "{told}");
    assert_eq!(other.good(&["images", "-q"]).lines().count(), 2);
    let ended = place.run(&["pull", "-a", &format!("{name}:a")]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(1), "sandbox: tag can't be used with --all-tags/-a\n")
    );
}

#[test]
fn docker_io_by_its_mirror() {
    let (registry, place) = (Registry::start(), Place::new());
    let digest = pushed(&registry, "library/alpine");
    let mirror = registry.name("").trim_end_matches('/').to_owned();
    place.configure(&format!(
        "[registries]\nmirrors-only = [\"docker.io\"]\n[registries.mirrors]\n\"docker.io\" = [\"http://{mirror}\"]\n"
    ));
    let told = place.good(&["pull", "alpine"]);
    assert!(told.contains("latest: Pulling from library/alpine\n"), "{told}");
    assert!(told.contains(&format!("Digest: {digest}\n")), "{told}");
    assert!(told.ends_with("docker.io/library/alpine:latest\n"), "{told}");
    assert_eq!(place.good(&["search", "--format", "{{.Name}}", "alp"]), "alpine\n");
}

#[test]
fn what_is_not_there() {
    let (registry, place) = (Registry::start(), Place::new());
    let ended = place.run(&["pull", &registry.name("nothing")]);
    assert_eq!(ended.code, Some(1));
    let wanted = format!("Error: manifest for {}:latest not found", registry.name("nothing"));
    assert!(ended.stderr.contains(&wanted), "{}", ended.stderr);
    let ended = place.run(&["push", &registry.name("nothing")]);
    let wanted = format!("An image does not exist locally with the tag: {}", registry.name("nothing"));
    assert!(ended.code == Some(1) && ended.stderr.contains(&wanted), "{}", ended.stderr);
    let ended = place.run(&["pull", "localhost:1/x"]);
    assert!(ended.code == Some(1) && ended.stderr.starts_with("Error: "), "{}", ended.stderr);
    let ended = place.run(&["--config", "/nonexistent.toml", "pull", "x"]);
    assert_eq!(
        ended.stderr.lines().next().unwrap(),
        "Error: open /nonexistent.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn a_run_pulls_what_it_lacks_and_says_so_on_stderr() {
    let (registry, place) = (Registry::start(), Place::new());
    pushed(&registry, "app");
    let name = registry.name("app");
    let never = place.run(&["run", "--pull", "never", &name]);
    assert_eq!(never.code, Some(125));
    assert!(
        never.stderr.starts_with(&format!("sandbox: No such image: {name}:latest\n")),
        "{}",
        never.stderr
    );
    // There is no supervisor here, so the run fails behind its pull.
    let missing = place.run(&["run", &name]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(125), ""));
    let begin = format!("Unable to find image '{name}:latest' locally\nlatest: Pulling from app\n");
    assert!(missing.stderr.starts_with(&begin), "{}", missing.stderr);
    let end = format!("Status: Downloaded newer image for {name}:latest\nsandbox: the supervisor not found");
    assert!(missing.stderr.contains(&end), "{}", missing.stderr);
    registry.asked();
    let there = place.run(&["run", &name]);
    assert!(there.stderr.starts_with("sandbox: the supervisor not found"), "{}", there.stderr);
    assert_eq!(registry.asked(), Vec::<String>::new(), "an image that is there asks nobody");
    let always = place.run(&["run", "--pull=always", &name]);
    assert!(always.stderr.starts_with("latest: Pulling from app\n"), "{}", always.stderr);
    assert!(always.stderr.contains(&format!("Status: Image is up to date for {name}:latest\n")));
    let quiet = Place::new().run(&["run", "-q", &name]);
    assert!(quiet.stderr.starts_with("sandbox: the supervisor not found"), "{}", quiet.stderr);
    let foreign = place.run(&["run", "--platform", "linux/s390x", &name]);
    assert!(foreign.stderr.contains("does not provide the specified platform"), "{}", foreign.stderr);
}

#[test]
fn an_id_is_not_pulled() {
    let place = Place::new();
    let hex = "a".repeat(64);
    for id in [hex.clone(), format!("sha256:{hex}")] {
        let ended = place.run(&["run", &id]);
        let begin = format!("sandbox: No such image: {id}\n");
        assert!(ended.code == Some(125) && ended.stderr.starts_with(&begin), "{}", ended.stderr);
    }
}
