//! Files into and out of a container that runs, while its own processes play tricks.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

use oci_spec::runtime::Mount;
use sandbox_container::archive::process::Streams;
use sandbox_container::archive::{Archive, ArchiveError, PathStat, Unpack};
use sandbox_container::{Container, ExitStatus};

use crate::Test;
use crate::support::{Bundle, Output, spec, start, strings};

pub(crate) const TESTS: &[Test] = &[
    ("archive::of_a_running_container", of_a_running_container),
    ("archive::nothing_is_left_of_a_supervisor", nothing_is_left_of_a_supervisor),
    ("archive::the_container_cannot_lead_it_out", the_container_cannot_lead_it_out),
];

/// Its end, its output, and why it failed.
fn ask(container: &Container, request: &Archive, input: Option<&[u8]>) -> (Vec<u8>, Option<ArchiveError>) {
    let input = input.map(|bytes| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file.seek(SeekFrom::Start(0)).expect("seek");
        OwnedFd::from(file)
    });
    let (mut output, mut error) =
        (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    let copy = |file: &File| OwnedFd::from(file.try_clone().expect("a copy"));
    let streams = Streams { input, output: copy(&output), error: copy(&error) };
    let status = container.archive(request, &streams).expect("started").wait().expect("waited");
    let text = |file: &mut File| {
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0)).expect("seek");
        file.read_to_end(&mut text).expect("read");
        text
    };
    let error = text(&mut error);
    match status {
        ExitStatus::Code(0) => (text(&mut output), None),
        ExitStatus::Code(1) => (text(&mut output), Some(serde_json::from_slice(&error).expect("a reason"))),
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&error)),
    }
}

fn path(path: &str) -> String {
    path.to_owned()
}

fn of_a_running_container() {
    let bundle = Bundle::new();
    let volume = tempfile::tempdir().expect("a directory");
    std::fs::write(volume.path().join("in"), "from the host").expect("written");
    let mut spec = spec(&bundle, &["sh", "-c", "echo data > /tmp/f; mkdir /tmp/ro; echo up; sleep 100"]);
    let mut mounts = spec.mounts().clone().expect("mounts");
    for (destination, option) in [("/data", "rw"), ("/fixed", "ro")] {
        let mut mount = Mount::default();
        mount.set_destination(destination.into());
        mount.set_typ(Some(path("bind")));
        mount.set_source(Some(volume.path().into()));
        mount.set_options(Some(strings(&["rbind", option])));
        mounts.push(mount);
    }
    spec.set_mounts(Some(mounts));
    let output = Output::new();
    let container = start(&bundle, &spec, &output);
    output.wait_for("up");
    container.pause().expect("paused");
    let (answer, failed) = ask(&container, &Archive::Stat { path: path("/tmp/f") }, None);
    assert_eq!(failed, None);
    let found: PathStat = serde_json::from_slice(&answer).expect("an answer");
    assert_eq!((found.name.as_str(), found.size), ("f", 5));
    let (packed, failed) = ask(&container, &Archive::Pack { path: path("/tmp"), follow: false }, None);
    assert_eq!(failed, None);
    let unpack = |to: &str| {
        let request = Archive::Unpack { path: path(to), options: Unpack::default() };
        ask(&container, &request, Some(&packed)).1
    };
    assert_eq!(unpack("/data"), None);
    assert_eq!(std::fs::read_to_string(volume.path().join("tmp/f")).expect("in the volume"), "data\n");
    assert_eq!(unpack("/fixed"), Some(ArchiveError::ReadOnlyVolume));
    assert_eq!(unpack("/nope"), Some(ArchiveError::Missing { path: path("/nope") }));
    let (packed, failed) = ask(&container, &Archive::Pack { path: path("/data/in"), follow: false }, None);
    assert!(failed.is_none() && packed.windows(13).any(|part| part == b"from the host"));
    // What is mounted there is busy, and stays.
    let request = Archive::Unpack { path: path("/"), options: Unpack::default() };
    let mut writer = sandbox_tar::TarWriter::new(Vec::new());
    let mut reader = sandbox_tar::TarReader::new(packed.as_slice(), 10);
    let entry = reader.next_entry().expect("an archive").expect("an entry");
    writer
        .file(&sandbox_tar::Entry { path: b"data".to_vec(), ..entry }, &mut std::io::empty())
        .expect("written");
    let (_, failed) = ask(&container, &request, Some(&writer.finish().expect("written")));
    assert!(failed.expect("refused").to_string().contains("busy"));
    let (_, failed) = ask(&container, &Archive::Stat { path: path("/data/in") }, None);
    assert_eq!(failed, None);
    // All of it, with the kernel's own file systems mounted: it ends, and has nothing of them.
    let (packed, failed) = ask(&container, &Archive::Pack { path: path("/"), follow: false }, None);
    assert_eq!(failed, None);
    let mut reader = sandbox_tar::TarReader::new(packed.as_slice(), 10_000);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().expect("an archive") {
        names.push(String::from_utf8(entry.path).expect("text"));
    }
    let has = |name: &str| names.iter().any(|found| found == name);
    for (name, expected) in [
        ("/proc/", true),
        ("/proc/meminfo", false),
        ("/sys/kernel/", false),
        ("/dev/null", true),
        ("/data/tmp/f", true),
    ] {
        assert_eq!(has(name), expected, "{name}");
    }
    container.delete().expect("deleted");
}

fn nothing_is_left_of_a_supervisor() {
    let bundle = Bundle::new();
    let output = Output::new();
    let container = start(&bundle, &spec(&bundle, &["sleep", "100"]), &output);
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let (sink, error) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    let secret = tempfile::tempfile().expect("a file");
    let streams = Streams { input: Some(reader), output: sink.into(), error: error.into() };
    let request = Archive::Unpack { path: path("/"), options: Unpack::default() };
    let process = container.archive(&request, &streams).expect("started");
    drop(streams);
    let fds = format!("/proc/{}/fd", process.pid().as_raw_nonzero());
    // It is set up as soon as nothing but places in the root is left of what it inherited.
    let leaked = || {
        let open = std::fs::read_dir(&fds).expect("its descriptors").flatten();
        let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.filter(|target| target.to_string_lossy().contains("(deleted)")).count() > 2
    };
    while leaked() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    drop(secret);
    // It waits for its input; killing it is cancelling.
    assert_eq!(process.try_wait().expect("alive"), None);
    process.signal(rustix::process::Signal::KILL).expect("killed");
    assert_eq!(process.wait().expect("waited"), ExitStatus::Signal(9));
    drop(writer);
    container.delete().expect("deleted");
}

/// A directory and a link that lead out change places all the time (CVE-2018-15664).
fn the_container_cannot_lead_it_out() {
    let bundle = Bundle::new();
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::write(outside.path().join("f"), "of the host").expect("written");
    let host = outside.path().to_str().expect("text").to_owned();
    let text = format!(
        "mkdir -p /a/real {host}; echo of the container > /a/real/f; echo of the container > {host}/f; \
         cp /bin/busybox /bin/mv; ln -s ../../../../../../../..{host} /a/link; cd /a; echo up; \
         while true; do mv real x; mv link real; mv real link; mv x real; done"
    );
    let output = Output::new();
    std::os::unix::fs::symlink("busybox", bundle.root().join("bin/cp")).expect("symlink");
    let container = start(&bundle, &spec(&bundle, &["sh", "-c", &text]), &output);
    output.wait_for("up");
    for _ in 0..100 {
        let (packed, _) = ask(&container, &Archive::Pack { path: path("/a/real/f"), follow: true }, None);
        assert!(!packed.windows(11).any(|part| part == b"of the host"));
        let mut writer = sandbox_tar::TarWriter::new(Vec::new());
        let mut reader = sandbox_tar::TarReader::new(packed.as_slice(), 10);
        if let Ok(Some(entry)) = reader.next_entry() {
            writer.file(&entry, &mut &b"replaced by cp; "[..]).expect("written");
        }
        let packed = writer.finish().expect("written");
        let request = Archive::Unpack { path: path("/a/real"), options: Unpack::default() };
        // It may find nothing there at that moment.
        let _ = ask(&container, &request, Some(&packed));
    }
    assert_eq!(std::fs::read_to_string(outside.path().join("f")).expect("still there"), "of the host");
    assert_eq!(std::fs::read_dir(outside.path()).expect("still there").count(), 1);
    container.delete().expect("deleted");
}
