//! Bytes and their ends.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::place::{Place, text};

#[test]
fn everything_there_and_back() {
    let place = Place::new();
    let mut child = place.shell(&["-i"], "cat").stdin(Stdio::piped()).spawn().unwrap();
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (mut stdin, sent) = (child.stdin.take().unwrap(), bytes.clone());
    let writer = std::thread::spawn(move || stdin.write_all(&sent));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.stdout == bytes, "{} bytes came back", out.stdout.len());
}

#[test]
fn a_reader_that_leaves_ends_an_endless_writer() {
    let place = Place::new();
    let mut child = place.shell(&[], "yes").spawn().unwrap();
    let mut some = [0; 1000];
    child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 13));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_container_that_does_not_read_its_input_still_gets_signals() {
    let place = Place::new();
    let mut command = place.shell(&["-i"], "trap 'exit 8' TERM; echo up; while :; do sleep 0.05; done");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&vec![0; 4_000_000]));
    let mut up = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8));
    assert!(writer.join().unwrap().is_err(), "nobody took it");
}

#[test]
fn stdin_is_left_alone_without_i() {
    let place = Place::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input");
    std::fs::write(&path, "for somebody else").unwrap();
    let mut file = std::fs::File::open(&path).unwrap();
    let out = place.shell(&[], "cat").stdin(file.try_clone().unwrap()).output().unwrap();
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(0), String::new()));
    let mut left = String::new();
    file.read_to_string(&mut left).unwrap();
    assert_eq!(left, "for somebody else");
}

#[test]
fn timings_tell_the_clocks() {
    let place = Place::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("timings.json");
    let out = place.shell(&["--timings", file.to_str().unwrap()], "echo hi").output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(json["isolation"], "process");
    let clock =
        |name: &str| json["clocks"][name].as_u64().unwrap_or_else(|| panic!("{name} is not in {json}"));
    let clocks = ["init_cloned", "ready", "first_output", "total"].map(clock);
    assert!(clocks.is_sorted() && clocks[0] > 0, "{clocks:?}");
}
