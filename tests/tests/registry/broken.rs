//! Things that cannot work, and leave everything as it was.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rstest::rstest;
use sandbox_tests::Sandbox;

use sandbox_tests::registry::{Guard, Registry, expect_clean, publish, store};

/// A file system of a given size, gone with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn of(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        mount(Some("small"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
        Self(dir)
    }

    fn grow(&self, size: &str) {
        let options = format!("size={size}");
        let none = None::<&str>;
        mount(none, self.0.path(), none, MsFlags::MS_REMOUNT, Some(options.as_str())).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[rstest]
// The second has room for the blob and not for its files.
#[case("20m")]
#[case("60m")]
fn a_full_disk_is_told_and_a_larger_one_goes_on(#[case] size: &str) {
    let registry = Registry::start(Guard::default());
    let reference = publish(&registry, "debian.tar", "big/debian:1");
    let disk = SmallDisk::of(size);
    let sandbox = Sandbox::at(disk.path());
    let failed = sandbox.sandbox(["pull", &reference]).expect_code(1).stderr;
    assert!(failed.to_lowercase().contains("no space left on device"), "{failed}");
    assert_eq!(sandbox.sandbox(["images", "-q"]).expect_code(0).stdout, "");
    expect_clean(&sandbox);
    disk.grow("600m");
    sandbox.sandbox(["pull", &reference]).expect_code(0);
    expect_clean(&sandbox);
}

#[rstest]
#[case::repository("nobody/home:1")]
#[case::tag("lib/alpine:nope")]
fn what_is_not_there(#[case] name: &str) {
    let registry = Registry::start(Guard::default());
    publish(&registry, "alpine.tar", "lib/alpine:1");
    let (_dir, sandbox) = store();
    let reference = format!("{}/{name}", registry.host());
    let failed = sandbox.sandbox(["pull", &reference]).expect_code(1).stderr;
    assert!(failed.contains(&registry.host()) && failed.contains("not"), "{failed}");
    expect_clean(&sandbox);
}

#[test]
fn nobody_listens() {
    let (_dir, sandbox) = store();
    let failed = sandbox.sandbox(["pull", "127.0.0.1:1/a:1"]).expect_code(1).stderr;
    assert!(failed.contains("127.0.0.1:1") && failed.contains("refuses the connection"), "{failed}");
}
