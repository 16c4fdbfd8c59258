//! Bounds on descriptors and inodes, and inodes that are reopened by name.

use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use zerocopy::IntoBytes;

use super::Limits;
use crate::config::CacheMode::{self, Coherent, Private};
use crate::virtio::fs::protocol::requests::{MkdirIn, Rename2In};
use crate::virtio::fs::protocol::{EntryOut, Opcode, ROOT_ID};
use crate::virtio::fs::test_client::{Client, body, text};

const FEW: Limits = Limits { nodes: 1000, node_fds: 16, handles: 50, lock_owners: 10 };

fn open_below(client: &Client) -> usize {
    let dir = client.dir.path();
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()).filter(|path| path.starts_with(dir)).count()
}

fn many(cache: CacheMode, count: usize) -> (Client, Vec<u64>) {
    let client = Client::with_limits(cache, false, FEW);
    std::fs::create_dir_all(client.path("a/b")).unwrap();
    let dir = client.node("a/b");
    let nodes = (0..count)
        .map(|number| {
            std::fs::write(client.path(format!("a/b/{number}")), number.to_string()).unwrap();
            client.lookup(dir, &number.to_string()).unwrap().nodeid
        })
        .collect();
    (client, nodes)
}

/// CVE-2020-10717: a guest that looks up many names used up the host's files.
#[test]
fn descriptors_are_bounded_and_inodes_stay_usable() {
    for cache in [Private, Coherent] {
        let (client, nodes) = many(cache, 500);
        assert!(open_below(&client) <= FEW.node_fds + FEW.node_fds / 4 + 2, "{} open", open_below(&client));
        for (number, node) in nodes.iter().enumerate() {
            let fh = client.open(*node, libc::O_RDONLY).map(|fh| client.read(*node, fh, 0, 10).unwrap());
            match fh {
                Ok(text) => assert_eq!(text, number.to_string().as_bytes()),
                Err(errno) => assert!(errno == Errno::NFILE && number >= FEW.handles, "{errno} at {number}"),
            }
        }
        for node in &nodes {
            assert_eq!(client.attr(*node).unwrap().nlink, 1);
        }
    }
}

#[test]
fn inodes_are_bounded() {
    let (client, nodes) = many(Private, 900);
    let dir = client.node("a/b");
    for number in 900..1100 {
        std::fs::write(client.path(format!("a/b/{number}")), "").unwrap();
    }
    let mut refused = Vec::new();
    for number in 900..1100 {
        refused.extend(client.lookup(dir, &number.to_string()).err());
    }
    assert_eq!(refused.len(), 900 + 200 + 2 - FEW.nodes);
    assert!(refused.iter().all(|errno| *errno == Errno::NOMEM));
    // READDIRPLUS goes on without attributes.
    let fh = client.opendir(dir).unwrap();
    assert!(!client.list(dir, fh, 0, 1 << 20, true).unwrap().0.is_empty());
    // Looked up once by name and once by the listing.
    client.forget(nodes[0], 2);
    assert!(client.lookup(dir, "1099").is_ok());
}

#[test]
fn a_dormant_inode_is_found_again_after_the_guest_renamed_it_or_what_is_above() {
    let (client, nodes) = many(Private, 200);
    let dir = client.node("a/b");
    let rename = |from: (u64, &str), to: (u64, &str), flags: u32| {
        let request = Rename2In { newdir: to.0, flags, padding: 0 };
        let names = body(&[request.as_bytes(), &text(from.1), &text(to.1)]);
        client.call(Opcode::Rename2, from.0, &names).unwrap();
    };
    rename((dir, "3"), (ROOT_ID, "moved"), 0);
    rename((dir, "4"), (dir, "5"), libc::RENAME_EXCHANGE);
    rename((client.node("a"), "b"), (ROOT_ID, "c"), 0);
    for (name, node) in [("moved", 3), ("c/4", 5), ("c/5", 4), ("c/6", 6)] {
        let host = std::fs::metadata(client.path(name)).unwrap();
        assert_eq!(client.attr(nodes[node]).unwrap().ino, host.ino(), "{name}");
    }
}

#[test]
fn an_inode_outlives_its_name_though_it_was_dormant() {
    let (client, nodes) = many(Private, 200);
    let dir = client.node("a/b");
    for (number, node) in nodes.iter().enumerate().take(10) {
        client.call(Opcode::Unlink, dir, &text(number.to_string())).unwrap();
        assert_eq!(client.attr(*node).unwrap().nlink, 0);
    }
    let rename = Rename2In { newdir: dir, flags: 0, padding: 0 };
    client.call(Opcode::Rename2, dir, &body(&[rename.as_bytes(), &text("10"), &text("11")])).unwrap();
    assert_eq!(client.attr(nodes[11]).unwrap().nlink, 0);
    assert_eq!(client.attr(nodes[10]).unwrap().nlink, 1);
}

#[test]
fn a_dormant_inode_that_the_host_replaced_is_stale() {
    let (client, nodes) = many(Coherent, 200);
    // Kept alive, so that its inode number is not given to another.
    std::fs::rename(client.path("a/b/0"), client.path("kept")).unwrap();
    std::fs::write(client.path("a/b/0"), "another").unwrap();
    std::fs::remove_file(client.path("a/b/1")).unwrap();
    std::os::unix::fs::symlink("/etc", client.path("a/b/1")).unwrap();
    assert_eq!(client.attr(nodes[0]), Err(Errno::STALE));
    assert_eq!(client.attr(nodes[1]), Err(Errno::STALE));
    assert_ne!(client.node("a/b/0"), nodes[0]);
    // Seen under its new name it is the same inode again.
    assert_eq!(client.node("kept"), nodes[0]);
    assert!(client.attr(nodes[0]).is_ok());
}

/// Descriptors must not be freed by recursion, nor be looked for without end.
#[test]
fn a_very_deep_tree_is_no_trouble() {
    let client = Client::with_limits(Private, false, Limits { nodes: 5000, ..FEW });
    let mut dirs = vec![ROOT_ID];
    for _ in 0..2000 {
        let request = MkdirIn { mode: 0o755, umask: 0 };
        let parent = *dirs.last().unwrap();
        let made: EntryOut =
            client.ask(Opcode::Mkdir, parent, &body(&[request.as_bytes(), &text("d")])).unwrap();
        dirs.push(made.nodeid);
    }
    // The last was used just now, one in the middle may have more dormant ones above it than we walk.
    assert!(client.attr(dirs[2000]).is_ok());
    for at in [1, 100, 1000, 1500] {
        assert!(matches!(client.attr(dirs[at]), Ok(_) | Err(Errno::STALE)));
    }
    for node in dirs {
        client.forget(node, 1);
    }
    assert!(client.attr(ROOT_ID).is_ok());
}

#[test]
fn readdirplus_opens_nothing() {
    let client = Client::with_limits(Private, false, FEW);
    for number in 0..300 {
        std::fs::write(client.path(number.to_string()), "").unwrap();
    }
    let fh = client.opendir(ROOT_ID).unwrap();
    let before = open_below(&client);
    let (names, _) = client.list(ROOT_ID, fh, 0, 1 << 20, true).unwrap();
    assert_eq!(names.len(), 302);
    assert_eq!(open_below(&client), before);
    for (_, node) in names.iter().filter(|(_, node)| *node != 0) {
        assert!(client.attr(*node).is_ok());
    }
}
