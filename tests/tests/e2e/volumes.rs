//! Directories of the host inside a container: both sides see the same, at once.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Stdio;

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::Sandbox;

#[rstest]
fn files_and_ownership_cross_both_ways(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in"), "from the host\n").unwrap();
    chown(dir.path().join("in"), Some(1234), Some(4321)).unwrap();
    let volume = format!("{}:/x", dir.path().display());
    let script = "cat /x/in; stat -c '%u %g' /x/in; echo inside > /x/out; chown 77:88 /x/out; chmod 640 /x/out; ln -s in /x/link; mkdir -m 1777 /x/d";
    let out = Sandbox::shared().run(isolation, ["-v", &volume, "alpine", "sh", "-c", script]).expect_code(0);
    assert_eq!(out.stdout, "from the host\n1234 4321\n");
    let made = dir.path().join("out");
    let meta = fs::metadata(&made).unwrap();
    assert_eq!(fs::read_to_string(&made).unwrap(), "inside\n");
    assert_eq!((meta.uid(), meta.gid(), meta.permissions().mode() & 0o7777), (77, 88, 0o640));
    assert_eq!(fs::read_link(dir.path().join("link")).unwrap().to_str(), Some("in"));
    assert_eq!(fs::metadata(dir.path().join("d")).unwrap().permissions().mode() & 0o7777, 0o1777);
}

/// A conversation over files: each side answers what it has just seen of the other.
#[rstest]
fn changes_are_seen_at_once(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::tempdir().unwrap();
    let volume = format!("{}:/x", dir.path().display());
    let script = "while read word; do cat /x/$word; echo \"back $word\" > /x/answer; echo .; done";
    let mut command = Sandbox::shared().run_command(isolation);
    command.args(["-i", "-v", &volume, "alpine", "sh", "-c", script]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for (word, text) in [("a", "1"), ("b", "22"), ("a", "3"), ("a", "4"), ("c", "5")] {
        fs::write(dir.path().join(word), format!("{text}\n")).unwrap();
        writeln!(stdin, "{word}").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), text);
        assert_eq!(lines.next().unwrap().unwrap(), ".");
        assert_eq!(fs::read_to_string(dir.path().join("answer")).unwrap(), format!("back {word}\n"));
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[rstest]
#[case::v("-v", "{}:/x:ro")]
#[case::mount("--mount", "type=bind,source={},target=/x,readonly")]
fn a_read_only_volume_stays_as_it_is(
    #[values(Process, Vm)] isolation: Isolation,
    #[case] flag: &str,
    #[case] form: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "kept").unwrap();
    let volume = form.replace("{}", dir.path().to_str().unwrap());
    let script =
        "cat /x/f; echo no > /x/f || rm /x/f || touch /x/g || mount -o remount,rw /x || chmod 777 /x/f";
    let out = Sandbox::shared().run(isolation, [flag, &volume, "alpine", "sh", "-c", script]).expect_code(1);
    assert_eq!(out.stdout, "kept");
    assert!(out.stderr.contains("Read-only file system"), "{}", out.stderr);
    assert_eq!(fs::read_to_string(dir.path().join("f")).unwrap(), "kept");
}

/// Root of a privileged container remounts what it likes; the host's file does not change.
#[rstest]
fn root_of_a_vm_cannot_make_a_read_only_volume_writable() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "kept").unwrap();
    let volume = format!("{}:/x:ro", dir.path().display());
    let script = "mount -o remount,rw /x; echo no > /x/f; rm -f /x/f; true";
    Sandbox::shared().run(Vm, ["--privileged", "-v", &volume, "alpine", "sh", "-c", script]).expect_code(0);
    assert_eq!(fs::read_to_string(dir.path().join("f")).unwrap(), "kept");
}

#[rstest]
fn a_single_file_can_be_mounted(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("one"), "1").unwrap();
    let volume = format!("{}:/etc/one", dir.path().join("one").display());
    let out = Sandbox::shared()
        .run(isolation, ["-v", &volume, "alpine", "sh", "-c", "cat /etc/one; echo -n 2 > /etc/one"]);
    assert_eq!(out.expect_code(0).stdout, "1");
    assert_eq!(fs::read_to_string(dir.path().join("one")).unwrap(), "2");
}

#[rstest]
fn a_missing_source_is_made_for_v_and_refused_for_mount(#[values(Process, Vm)] isolation: Isolation) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("new");
    let volume = format!("{}:/x", source.display());
    Sandbox::shared().run(isolation, ["-v", &volume, "alpine", "touch", "/x/f"]).expect_code(0);
    assert!(source.join("f").exists());
    let missing = dir.path().join("missing");
    let mount = format!("type=bind,source={},target=/x", missing.display());
    let out = Sandbox::shared().run(isolation, ["--mount", &mount, "alpine", "true"]).expect_code(125);
    assert!(out.stderr.contains("bind source path does not exist"), "{}", out.stderr);
}

#[rstest]
fn the_image_is_not_changed_by_a_run(#[values(Process, Vm)] isolation: Isolation) {
    let script = "rm -rf /etc/apk && echo x > /etc/motd && touch /new && ls /";
    Sandbox::shared().run(isolation, ["alpine", "sh", "-c", script]).expect_code(0);
    let out =
        Sandbox::shared().run(isolation, ["alpine", "sh", "-c", "ls -d /etc/apk; ls /new"]).expect_code(1);
    assert_eq!(out.stdout, "/etc/apk\n");
}
