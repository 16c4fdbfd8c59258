//! READDIR and READDIRPLUS.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::config::CacheMode::{Coherent, Private};
use crate::virtio::fs::protocol::ROOT_ID;
use crate::virtio::fs::test_client::Client;

fn all(client: &Client, plus: bool, size: u32) -> Vec<(PathBuf, u64)> {
    let fh = client.opendir(ROOT_ID).unwrap();
    let (mut names, mut offset) = (Vec::new(), 0);
    loop {
        let (part, next) = client.list(ROOT_ID, fh, offset, size, plus).unwrap();
        if part.is_empty() {
            return names;
        }
        names.extend(part);
        offset = next;
    }
}

#[test]
fn every_name_comes_once_whatever_the_size_of_the_replies() {
    let client = Client::new(Private, false);
    let mut expected: BTreeSet<PathBuf> = [".".into(), "..".into()].into();
    for number in 0..500 {
        let name = format!("{number}{}", "x".repeat(number % 200));
        std::fs::write(client.path(&name), "").unwrap();
        expected.insert(name.into());
    }
    for plus in [false, true] {
        for size in [512, 4096, 1 << 20] {
            let names = all(&client, plus, size);
            assert_eq!(names.len(), expected.len());
            assert_eq!(names.into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>(), expected);
        }
    }
}

#[test]
fn plus_entries_can_be_used_and_count_as_looked_up() {
    for cache in [Private, Coherent] {
        let client = Client::new(cache, false);
        for name in ["a", "b"] {
            std::fs::write(client.path(name), name).unwrap();
        }
        for (name, node) in all(&client, true, 4096) {
            let dots = name.as_os_str() == "." || name.as_os_str() == "..";
            assert_eq!(node == 0, dots);
            if !dots {
                let fh = client.open(node, libc::O_RDONLY).unwrap();
                assert_eq!(client.read(node, fh, 0, 9).unwrap(), name.to_str().unwrap().as_bytes());
            }
        }
    }
}

#[test]
fn an_entry_that_did_not_fit_was_not_looked_up() {
    let client = Client::new(Private, false);
    for name in ["a", "b", "c"] {
        std::fs::write(client.path(name), "").unwrap();
    }
    let fh = client.opendir(ROOT_ID).unwrap();
    // Room for one entry of 160 bytes.
    let (mut offset, mut seen) = (0, Vec::new());
    while let (part, next) = client.list(ROOT_ID, fh, offset, 200, true).unwrap()
        && !part.is_empty()
    {
        assert_eq!(part.len(), 1);
        seen.push(part[0].1);
        offset = next;
    }
    for node in seen.into_iter().filter(|node| *node != 0) {
        client.forget(node, 1);
        assert_eq!(client.attr(node).unwrap_err(), Errno::STALE, "looked up once only");
    }
}

#[test]
fn positions_can_be_gone_back_to_and_nonsense_is_no_harm() {
    let client = Client::new(Private, false);
    for number in 0..100 {
        std::fs::write(client.path(number.to_string()), "").unwrap();
    }
    let fh = client.opendir(ROOT_ID).unwrap();
    let (first, next) = client.list(ROOT_ID, fh, 0, 1000, false).unwrap();
    let (second, _) = client.list(ROOT_ID, fh, next, 1000, false).unwrap();
    assert_eq!(client.list(ROOT_ID, fh, 0, 1000, false).unwrap().0, first);
    assert_eq!(client.list(ROOT_ID, fh, next, 1000, false).unwrap().0, second);
    for offset in [1, 12345, i64::MAX as u64, u64::MAX] {
        // Any answer will do that is a well-formed one.
        let _ = client.list(ROOT_ID, fh, offset, 1000, true);
    }
    assert_eq!(client.list(ROOT_ID, fh, 0, 0, false).unwrap().0, []);
    let (node, file) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    assert_eq!(client.list(node, file, 0, 1000, false).unwrap_err(), Errno::NOTDIR);
    assert_eq!(client.opendir(node).unwrap_err(), Errno::NOTDIR);
    assert_eq!(client.open(ROOT_ID, libc::O_RDONLY).unwrap_err(), Errno::ISDIR);
}
