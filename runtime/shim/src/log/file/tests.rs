//! Rotation and compression, killed and not.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::*;

fn settings(driver: &str, pairs: &[(&str, &str)]) -> Settings {
    let options: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings { rotation: Rotation::parse(driver, &options).unwrap(), attributes: Vec::new() }
}

fn line(text: &str) -> Line<'_> {
    Line { stream: Stream::Stdout, at_ns: 1_767_323_045_000_000_000, text: text.as_bytes(), whole: true }
}

fn contents(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        file.read_to_string(&mut text).unwrap();
    }
    text
}

/// The numbers that lines of a log say, oldest first, and the bytes on disk.
fn numbers(path: &Path) -> (Vec<u64>, u64) {
    let (mut numbers, mut bytes) = (Vec::new(), 0);
    let older = (1..50).rev().flat_map(|index| [true, false].map(|gz| rotation::numbered(path, index, gz)));
    for file in older.chain([path.to_owned()]) {
        bytes += file.metadata().map_or(0, |metadata| metadata.len());
        for line in contents(&file).lines() {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            numbers.push(value["log"].as_str().unwrap().trim_end().parse().unwrap());
        }
    }
    (numbers, bytes)
}

#[test]
fn files_are_bounded_and_nothing_between_is_lost() {
    for (options, gz) in [
        (&[("max-size", "2k"), ("max-file", "4")][..], false),
        (&[("max-size", "2k"), ("max-file", "4"), ("compress", "true")][..], true),
        (&[("max-size", "2k")][..], false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut file = JsonFile::open(path.clone(), settings("json-file", options)).unwrap();
        for number in 0..1000 {
            file.line(&line(&number.to_string()));
            if number % 7 == 0 {
                file.commit();
            }
            for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
                assert!(entry.metadata().map_or(0, |metadata| metadata.len()) <= 2000, "{:?}", entry.path());
            }
        }
        file.commit();
        let (numbers, bytes) = numbers(&path);
        let want: Vec<u64> = (1000 - numbers.len() as u64..1000).collect();
        assert_eq!(numbers, want);
        let files = if options.len() > 1 { 4 } else { 1 };
        assert!(
            bytes <= 2000 * files && numbers.len() as u64 > 25 * (files - 1),
            "{bytes} {}",
            numbers.len()
        );
        assert_eq!(rotation::numbered(&path, 2, true).exists(), gz);
        assert_eq!(file.dropped(), 0);
    }
}

#[test]
fn a_line_larger_than_a_file_has_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut file =
        JsonFile::open(path.clone(), settings("json-file", &[("max-size", "100"), ("max-file", "9")]))
            .unwrap();
    let long = "7".repeat(500);
    for text in ["1", &long, "2"] {
        file.line(&line(text));
    }
    file.commit();
    let lengths = [Some(2), Some(1), None].map(|index| {
        contents(&index.map_or(path.clone(), |index| rotation::numbered(&path, index, false))).lines().count()
    });
    assert_eq!(lengths, [1, 1, 1]);
}

#[test]
fn a_torn_line_ends_before_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "{\"log\":\"tor").unwrap();
    for leftover in [rotation::unborn(&path), rotation::unfinished(&path)] {
        std::fs::write(leftover, "x").unwrap();
    }
    std::fs::write(rotation::numbered(&path, 1, false), "").unwrap();
    std::fs::write(rotation::numbered(&path, 1, true), "").unwrap();
    let mut file = JsonFile::open(path.clone(), settings("json-file", &[])).unwrap();
    file.line(&line("1"));
    file.commit();
    drop(file);
    let mut file = JsonFile::open(path.clone(), settings("json-file", &[])).unwrap();
    file.line(&line("2"));
    file.commit();
    let text = contents(&path);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "{\"log\":\"tor"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_full_disk_loses_lines_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut file = JsonFile::open(path.clone(), settings("json-file", &[])).unwrap();
    let good = std::mem::replace(&mut file.file, File::options().write(true).open("/dev/full").unwrap());
    file.line(&line("1"));
    file.line(&line("2"));
    file.commit();
    assert_eq!(file.dropped(), 2);
    file.file = good;
    file.line(&line("3"));
    file.commit();
    assert_eq!(numbers(&path).0, [3]);
}

/// Writers are killed at any moment, over and over; every line up to the last that was acknowledged is there once.
#[test]
fn killed_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let options = [("max-size", "20k"), ("max-file", "5"), ("compress", "true")];
    let mut next = 0u64;
    for round in 0..30u64 {
        let (mut from, to) = std::io::pipe().unwrap();
        // SAFETY: the child calls only what is below, and ends with SIGKILL or _exit. Other threads of the test program
        // may hold locks of the allocator, which glibc's fork takes before it forks.
        match unsafe { libc::fork() } {
            0 => {
                drop(from);
                let mut to = to;
                let Ok(mut file) = JsonFile::open(path.clone(), settings("json-file", &options)) else {
                    // SAFETY: ends the child.
                    unsafe { libc::_exit(1) }
                };
                for number in next.. {
                    file.line(&line(&number.to_string()));
                    if number % 16 == 0 {
                        file.commit();
                        if to.write_all(&number.to_le_bytes()).is_err() {
                            break;
                        }
                    }
                }
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) }
            }
            pid => {
                drop(to);
                let mut acknowledged = [0; 8];
                for _ in 0..=round * 7 % 40 {
                    from.read_exact(&mut acknowledged).unwrap();
                }
                // SAFETY: a child of ours that was not waited for.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                // SAFETY: waits for it; the status is not wanted.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
                while from.read_exact(&mut acknowledged).is_ok() {}
                rotation::tidy(&path).unwrap();
                let (numbers, bytes) = numbers(&path);
                let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
                let whole: Vec<u64> = (first..=last).collect();
                assert_eq!(numbers, whole, "round {round}");
                assert!(last >= u64::from_le_bytes(acknowledged), "round {round}");
                assert!(bytes <= 5 * 20_000);
                next = last + 1;
            }
        }
    }
}
