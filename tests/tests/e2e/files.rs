//! Files into and out of containers, and images made of them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{Container, Output, Running, Sandbox, sandbox};

/// `cp FROM TO`, where `:` begins a path in the container.
fn copy(container: &Container, from: &str, to: &str) -> Output {
    let full = |path: &str| {
        if path.starts_with(':') { format!("{}{path}", container.name) } else { path.to_owned() }
    };
    sandbox(&["cp", &full(from), &full(to)])
}

/// `cp - CONTAINER:TO` with an archive on stdin.
fn unpack(container: &Container, archive: &str, to: &str) -> Output {
    let mut command = Sandbox::shared().command();
    command.args(["cp", "-", &format!("{}:{to}", container.name)]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(archive.as_bytes()).unwrap();
    Running(child).finish()
}

fn names_in(archive: &Path) -> Vec<String> {
    let out = Command::new("tar").arg("-tf").arg(archive).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[rstest]
fn copies_of_running_and_stopped_containers(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::tempdir().unwrap();
    let here = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(here("file"), "from the host\n").unwrap();
    fs::create_dir(here("tree")).unwrap();
    fs::write(here("tree/leaf"), "leaf\n").unwrap();
    symlink("leaf", here("tree/link")).unwrap();
    let volume = format!("copies-{}:/volume", isolation.name());
    let flags = ["-v", volume.as_str(), "--tmpfs", "/scratch"];
    let container = Container::started(isolation, "copies", &flags, &["sleep", "1000"]);

    copy(&container, &here("file"), ":/tmp/renamed").expect_code(0);
    copy(&container, &here("tree"), ":/tmp").expect_code(0);
    copy(&container, &here("tree/."), ":/scratch").expect_code(0);
    // An archive's bytes are text here: nothing in it is binary.
    let archive = copy(&container, ":/tmp/tree", "-").expect_code(0).stdout;
    unpack(&container, &archive, "/volume").expect_code(0);
    unpack(&container, &archive, "/scratch").expect_code(0);
    let script = "cat /tmp/renamed /tmp/tree/link /scratch/leaf /scratch/tree/link /volume/tree/link; \
                  stat -c '%u:%g' /tmp/renamed; readlink /volume/tree/link; rm /tmp/renamed";
    let out = container.exec(&["sh", "-c", script]).expect_code(0);
    assert_eq!(out.stdout, "from the host\nleaf\nleaf\nleaf\nleaf\n0:0\nleaf\n");
    for place in ["scratch", "volume"] {
        copy(&container, &format!(":/{place}/tree"), &here(place)).expect_code(0);
        assert_eq!(fs::read_to_string(here(&format!("{place}/leaf"))).unwrap(), "leaf\n");
        assert_eq!(fs::read_link(here(&format!("{place}/link"))).unwrap(), Path::new("leaf"));
    }
    refusals(&container, &here);
    // What leads out of the container ends inside it.
    container.exec(&["ln", "-s", "/../../../../../../proc/version_signature_of_no_kernel", "/tmp/out"]);
    let out = sandbox(&["cp", "-L", &format!("{}:/tmp/out", container.name), &here("out")]).expect_code(1);
    assert!(out.stderr.contains("Could not find the file"), "{out:?}");

    container.does(&["kill"]).expect_code(0);
    copy(&container, ":/volume/tree/leaf", &here("stopped")).expect_code(0);
    assert_eq!(fs::read_to_string(here("stopped")).unwrap(), "leaf\n");
    copy(&container, &here("file"), ":/volume/later").expect_code(0);
    copy(&container, &here("file"), ":/tmp/later").expect_code(0);
    let out = copy(&container, ":/scratch/leaf", &here("gone")).expect_code(1);
    assert!(out.stderr.contains("Could not find the file /scratch/leaf in container"), "{out:?}");
    refusals(&container, &here);
    container.does(&["start"]).expect_code(0);
    let out = container.exec(&["cat", "/volume/later", "/tmp/later"]).expect_code(0);
    assert_eq!(out.stdout, "from the host\nfrom the host\n");
}

/// The same words whether it runs or not.
fn refusals(container: &Container, here: &dyn Fn(&str) -> String) {
    let name = &container.name;
    for (from, to, text) in [
        (":/nope", here(""), format!("Could not find the file /nope in container {name}")),
        (&here("file"), ":/nope/x".into(), format!("Could not find the file /nope in container {name}")),
        ("nobody:/x", here(""), "No such container: nobody".into()),
        (&here("file"), here("other"), "must specify at least one container source".into()),
        (&here("tree"), ":/etc/passwd".into(), "cannot copy directory".into()),
        (&here("nope"), ":/tmp".into(), "no such file or directory".into()),
        (":/etc", here("file"), "cannot copy directory".into()),
    ] {
        let out = copy(container, from, &to).expect_code(1);
        assert!(out.stderr.contains(&text) && out.stdout.is_empty(), "{from} {to}: {out:?}");
    }
}

#[rstest]
fn a_read_only_root_takes_nothing(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::created(isolation, "read-only", &["--read-only"], &["true"]);
    let out = copy(&container, "/etc/hostname", ":/tmp").expect_code(1);
    assert!(out.stderr.contains("container rootfs is marked read-only"), "{out:?}");
    copy(&container, ":/etc/os-release", "-").expect_code(0);
}

/// An image of a test's own, removed at its end.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        sandbox(&["rmi", "-f", &self.0]);
    }
}

#[rstest]
fn changes_are_seen_exported_and_made_an_image(#[values(Process, Vm)] isolation: Isolation) {
    let container = Container::started(isolation, "changed", &["-v", "/volume"], &["sleep", "1000"]);
    let script = "echo new > /new; echo x >> /etc/passwd; rm /etc/motd; rm -r /etc/apk; mkdir -p /made/here; \
                  echo v > /volume/kept; chmod 700 /srv";
    container.exec(&["sh", "-c", script]).expect_code(0);
    let expected = "A /made\nA /made/here\nA /new\nC /etc\nC /etc/passwd\nC /srv\nD /etc/apk\nD /etc/motd";
    let changes = || {
        let out = container.does(&["diff"]).expect_code(0).stdout;
        // The mount point of the volume is as Docker has it: a change, too.
        let mut lines: Vec<_> = out.lines().filter(|line| *line != "A /volume").collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    assert_eq!(changes(), expected);

    let image = Image(format!("changed:{}", isolation.name()));
    let commit = ["commit", "-m", "why", "-c", "CMD [\"cat\", \"/new\"]", "-c", "ENV A=b"];
    let out = sandbox(&[&commit[..], &[&container.name, &image.0]].concat()).expect_code(0);
    assert!(out.stdout.starts_with("sha256:") && out.stdout.trim_end().len() == 71, "{out:?}");
    let dir = tempfile::tempdir().unwrap();
    let running = dir.path().join("running.tar");
    sandbox(&["export", "-o", running.to_str().unwrap(), &container.name]).expect_code(0);

    container.does(&["kill"]).expect_code(0);
    assert_eq!(changes(), expected, "the same of one that has ended");
    let stopped = dir.path().join("stopped.tar");
    sandbox(&["export", "-o", stopped.to_str().unwrap(), &container.name]).expect_code(0);
    for archive in [running, stopped] {
        let names = names_in(&archive);
        for name in ["new", "made/here/", "etc/passwd", "bin/busybox"] {
            assert!(names.iter().any(|found| found == name), "no {name} in {archive:?}");
        }
        for name in ["etc/motd", "volume/kept"] {
            assert!(!names.iter().any(|found| found == name), "{name} in {archive:?}");
        }
    }

    // Its own command, then everything else that was changed.
    let again = Container::new(isolation, "of-changed");
    let run = ["run", "--isolation", isolation.name(), "--name", &again.name, &image.0];
    assert_eq!(sandbox(&run).expect_code(0).stdout, "new\n");
    let script =
        "tail -n 1 /etc/passwd; ls /etc/motd /etc/apk /volume/kept 2>/dev/null; stat -c %a /srv; echo $A";
    let out = Sandbox::shared().run(isolation, [image.0.as_str(), "sh", "-c", script]).expect_code(0);
    assert_eq!(out.stdout, "x\n700\nb\n");
    let out = sandbox(&["history", "--format", "{{.Comment}}", &image.0]).expect_code(0);
    assert!(out.stdout.starts_with("why\n"), "{out:?}");
    let out = sandbox(&["rmi", &image.0]).expect_code(1);
    assert!(out.stderr.contains("conflict"), "a container uses it: {out:?}");
    again.does(&["rm"]).expect_code(0);
    sandbox(&["rmi", &image.0]).expect_code(0);
}
