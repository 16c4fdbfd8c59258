//! Files into and out of a container that has ended; a running one gives the same (see /tests).

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;

use crate::place::{Place, text};

/// A container named `c1` that has run a script, with the volume `vol` at /data.
fn ended(script: &str) -> Place {
    let place = Place::new();
    let out = place.run(&[
        "run",
        "--isolation=process",
        "--name=c1",
        "-v",
        "vol:/data",
        "localhost/busybox",
        "sh",
        "-c",
        script,
    ]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    place
}

fn ok(place: &Place, arguments: &[&str]) -> String {
    let out = place.run(arguments);
    assert!(out.status.success(), "{arguments:?}: {}", text(&out.stderr));
    text(&out.stdout)
}

fn refused(place: &Place, arguments: &[&str]) -> String {
    let out = place.run(arguments);
    assert_eq!(out.status.code(), Some(1), "{arguments:?}");
    text(&out.stderr).trim_end().to_owned()
}

fn tar(name: &str, content: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), content).unwrap();
    let out = std::process::Command::new("tar").arg("-cC").arg(dir.path()).arg(name).output().unwrap();
    out.stdout
}

#[test]
fn there_and_back() {
    let place = ended(
        "mkdir -p /d/sub; echo x > /d/sub/f; ln -s /d/sub /l; echo kept > /data/v; chmod 4755 /d/sub/f",
    );
    let here = tempfile::tempdir().unwrap();
    let path = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    ok(&place, &["cp", "c1:/d/sub/f", &path("file")]);
    assert_eq!(read("file"), "x\n");
    assert_eq!(std::fs::metadata(path("file")).unwrap().mode() & 0o7777, 0o755, "no rights come along");
    ok(&place, &["cp", "c1:/d", &path("new")]);
    ok(&place, &["cp", "c1:/d", &path("new")]);
    assert_eq!((read("new/sub/f"), read("new/d/sub/f")), ("x\n".to_owned(), "x\n".to_owned()));
    ok(&place, &["cp", "c1:/l/.", &path("dot")]);
    ok(&place, &["cp", "-L", "c1:/l", &path("followed")]);
    assert_eq!((read("dot/f"), read("followed/f")), ("x\n".to_owned(), "x\n".to_owned()));
    ok(&place, &["cp", "c1:/l", &path("link")]);
    assert_eq!(std::fs::read_link(path("link")).unwrap().to_str(), Some("/d/sub"));
    ok(&place, &["cp", "c1:/data/v", &path("volume")]);
    assert_eq!(read("volume"), "kept\n");
    let out = place.run(&["cp", "-q=false", "c1:/d/sub/f", &path("told")]);
    assert_eq!(text(&out.stderr), format!("Successfully copied 2.05kB to {}\n", path("told")));

    std::fs::create_dir(path("tree")).unwrap();
    std::fs::write(path("tree/t"), "tree").unwrap();
    ok(&place, &["cp", &path("tree"), "c1:/d"]);
    ok(&place, &["cp", &path("tree/."), "c1:/data"]);
    ok(&place, &["cp", &path("tree/t"), "c1:/l/renamed"]);
    let out = place.run(&["cp", "-q=false", &path("tree"), "c1:/fresh"]);
    assert!(text(&out.stderr).ends_with("to c1:/fresh\n"), "{}", text(&out.stderr));
    for (from, content) in [
        ("c1:/d/tree/t", "tree"),
        ("c1:/data/t", "tree"),
        ("c1:/d/sub/renamed", "tree"),
        ("c1:/fresh/t", "tree"),
    ] {
        ok(&place, &["cp", from, &path("again")]);
        assert_eq!(read("again"), content, "{from}");
    }
    let mut child = place.command(&["cp", "-", "c1:/l"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&tar("piped", "by a pipe")).unwrap();
    assert!(child.wait().unwrap().success());
    let out = place.run(&["cp", "c1:/d/sub/piped", "-"]);
    assert!(text(&out.stdout).starts_with("piped\0") && text(&out.stdout).contains("by a pipe"));
}

#[test]
fn refusals_have_dockers_words() {
    let place = ended("mkdir /d; echo x > /f; ln -s ../../../../x /d/out");
    let here = tempfile::tempdir().unwrap();
    let path = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path("dir")).unwrap();
    std::fs::write(path("file"), "").unwrap();
    for (arguments, expected) in [
        (["c1:/nope", &path("x")], "Error: Could not find the file /nope in container c1"),
        (["c1:/a", "d2:/b"], "sandbox: copying between containers is not supported"),
        (["a", "b"], "sandbox: must specify at least one container source"),
        (["", "c1:/b"], "sandbox: source can not be empty"),
        ([&path("dir"), "c1:/f"], "sandbox: cannot copy directory"),
        ([&path("file"), "c1:/no/"], "sandbox: no such directory"),
        (["-", "c1:/f"], "sandbox: destination \"c1:/f\" must be a directory"),
        (["c1:/d", &path("file")], "sandbox: cannot copy directory"),
        (["c1:/f", &path("no/")], "sandbox: no such directory"),
        (["nope:/f", "-"], "Error: No such container: nope"),
    ] {
        assert_eq!(refused(&place, &["cp", arguments[0], arguments[1]]), expected, "{arguments:?}");
    }
    let error = refused(&place, &["cp", "c1:/d", &path("dir")]);
    assert!(error.starts_with("sandbox: invalid symlink \"d/out\" -> "), "{error}");
    let error = refused(&place, &["cp", "c1:/f", &path("no/where")]);
    assert!(error.contains("does not exist"), "{error}");
}

#[test]
fn changes_and_what_is_made_of_them() {
    let place = ended("echo hi > /new; rm /etc/passwd; echo >> /etc/group; echo v > /data/v");
    assert_eq!(ok(&place, &["diff", "c1"]), "A /data\nC /etc\nC /etc/group\nD /etc/passwd\nA /new\n");
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("c.tar");
    ok(&place, &["export", "-o", file.to_str().unwrap(), "c1"]);
    let listed = std::process::Command::new("tar").arg("-tf").arg(&file).output().unwrap();
    let listed = text(&listed.stdout);
    let has = |name: &str| listed.lines().any(|line| line == name);
    assert!(has("new") && has("bin/sh") && has("data/") && !has("data/v") && !has("etc/passwd"), "{listed}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let id =
        ok(&place, &["commit", "-a", "me", "-m", "why", "-c", "CMD [\"cat\", \"/new\"]", "c1", "made:v1"]);
    assert!(id.starts_with("sha256:") && id.trim_end().len() == 71, "{id}");
    assert_eq!(ok(&place, &["run", "--rm", "--isolation=process", "made:v1"]), "hi\n");
    let script = "test ! -e /etc/passwd && ls /data";
    assert_eq!(ok(&place, &["run", "--rm", "--isolation=process", "made:v1", "sh", "-c", script]), "");
    assert_eq!(ok(&place, &["inspect", "-f", "{{.Author}} {{.Comment}}", "made:v1"]), "me why\n");
    ok(&place, &["system", "check"]);
}
