//! What needs no registry.

use std::process::Stdio;

use crate::place::Place;

#[test]
fn names_come_and_go() {
    let place = Place::new();
    let id = place.import("app:v1", &[("file", b"content")]);
    assert!(id.starts_with("sha256:"), "{id}");
    place.good(&["tag", "app:v1", "team/app"]);
    let names = "{{.Repository}}:{{.Tag}}";
    assert_eq!(
        place.good(&["images", "--format", names, "--filter", "reference=team/*"]),
        "team/app:latest\n"
    );
    assert_eq!(place.good(&["image", "ls", "-q", "--no-trunc"]), format!("{id}\n"));
    assert_eq!(place.good(&["rmi", "app:v1"]), "Untagged: app:v1\n");
    let ended = place.run(&["rmi", "nothing", "team/app"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "Error: No such image: nothing:latest\n");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[..2], ["Untagged: team/app:latest", &format!("Deleted: {id}")], "all are tried");
    assert_eq!(place.good(&["images"]), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    assert_eq!(place.run(&["rmi", "-f", "nothing"]).code, Some(0));
    let ended = place.run(&["tag", "nothing", "x"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "Error: No such image: nothing:latest\n"));
}

#[test]
fn looked_at_from_all_sides() {
    let place = Place::new();
    let id = place.import("app", &[("file", b"content")]);
    let inspected: serde_json::Value =
        serde_json::from_str(&place.good(&["image", "inspect", "app", &id])).unwrap();
    assert_eq!(inspected[0]["Id"], id);
    assert_eq!(inspected[0]["RepoTags"], serde_json::json!(["app:latest"]));
    assert_eq!(inspected[0]["Config"]["Cmd"], serde_json::json!(["/bin/sh"]));
    assert_eq!(inspected[1], inspected[0]);
    assert_eq!(
        place.good(&["inspect", "-f", "{{.ID}} {{index .Config.Cmd 0}}", "app"]),
        format!("{id} /bin/sh\n")
    );
    let ended = place.run(&["image", "inspect", "nothing"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(1), "[]\n", "Error: No such image: nothing:latest\n")
    );
    let ended = place.run(&["inspect", "nothing"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "[]\n"));
    assert_eq!(ended.stderr, "error: no such object: nothing\n");
    assert_eq!(place.run(&["inspect", "-f", "{{.Id", "app"]).code, Some(64));

    let history = place.good(&["history", "--format", "{{.ID}} {{.Comment}} {{.Size}}", "app"]);
    assert_eq!(history, format!("{} made 7B\n", &id[7..19]));
    let df = place.good(&["system", "df"]);
    assert!(df.contains("\nImages          1         0         7B        7B (100%)\n"), "{df}");
    assert!(place.good(&["system", "df", "-v"]).contains("\napp          latest    "));
    assert_eq!(place.good(&["system", "check", "--images"]), "");
    let ended = place.run(&["images", "--filter", "x=1"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "Error: invalid filter 'x'\n"));
    let ended = place.run(&["images", "ls"]);
    assert!(ended.stderr.contains("did you mean \"sandbox image ls\"?"), "{}", ended.stderr);
}

#[test]
fn out_and_in_again() {
    let place = Place::new();
    let id = place.import("app:v1", &[("file", b"content")]);
    let archive = place.path("app.tar");
    place.good(&["save", "-o", archive.to_str().unwrap(), "app:v1"]);
    let other = Place::new();
    assert_eq!(other.good(&["load", "-i", archive.to_str().unwrap()]), "Loaded image: app:v1\n");
    assert_eq!(other.good(&["images", "-q", "--no-trunc"]), format!("{id}\n"));

    let mut saving = place.command(&["save", "app:v1"]).spawn().unwrap();
    let third = Place::new();
    let mut loading = third.command(&["load"]);
    let loaded = loading.stdin(Stdio::from(saving.stdout.take().unwrap())).output().unwrap();
    assert!(saving.wait().unwrap().success());
    assert_eq!(String::from_utf8_lossy(&loaded.stdout), "Loaded image: app:v1\n");

    let failed = place.path("no/such/directory.tar");
    assert_eq!(place.run(&["save", "-o", failed.to_str().unwrap(), "app:v1"]).code, Some(1));
    let ended = place.run(&["save", "-o", place.path("none.tar").to_str().unwrap(), "nothing"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "Error: No such image: nothing:latest\n"));
    assert!(!place.path("none.tar").exists());
}

#[test]
fn prune_asks_first() {
    let place = Place::new();
    let first = place.import("app", &[("file", b"one")]);
    place.import("app", &[("file", b"two")]);
    let all = ["images", "-q", "-a"];
    assert_eq!(place.good(&all).lines().count(), 2, "the first has lost its name");
    assert_eq!(place.good(&["images", "-q", "-f", "dangling=true"]), format!("{}\n", &first[7..19]));
    let asked = place.run(&["image", "prune"]);
    assert_eq!(asked.code, Some(0));
    assert_eq!(
        asked.stdout,
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] "
    );
    assert_eq!(place.good(&all).lines().count(), 2, "no answer is no");
    let pruned = place.good(&["image", "prune", "-f"]);
    assert!(
        pruned.starts_with("Deleted Images:\n") && pruned.contains(&format!("deleted: {first}\n")),
        "{pruned}"
    );
    assert!(pruned.contains("\n\nTotal reclaimed space: "), "{pruned}");
    assert_eq!(place.good(&all).lines().count(), 1);
    let pruned = place.good(&["image", "prune", "-a", "-f", "--filter", "until=1970-01-02"]);
    assert_eq!(pruned, "Total reclaimed space: 0B\n");
    place.good(&["image", "prune", "-a", "-f"]);
    assert_eq!(place.good(&all), "");
}

#[test]
fn leftovers_are_found_and_removed() {
    let place = Place::new();
    place.good(&["images"]);
    let left = place.path("root/containers").join("a".repeat(64));
    std::fs::create_dir(&left).unwrap();
    let ended = place.run(&["system", "check"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains(left.to_str().unwrap()), "{}", ended.stdout);
    assert!(place.good(&["system", "check", "--repair"]).starts_with("repaired: "));
    assert_eq!(place.good(&["system", "check"]), "");
    assert!(!left.exists());
}
