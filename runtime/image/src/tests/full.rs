//! A disk that fills up while an image is pulled or loaded: a small tmpfs in a mount namespace of the test's own.

use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::image::{Layout, Setup, Tar, list};
use super::origin::layer;
use super::registry::Registry;
use crate::{Error, PullOptions};

/// Runs `test` with a store on a file system of `size`, which ends with it.
fn on_small_disk(size: &str, test: impl FnOnce(&Setup) + Send) {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                // SAFETY: only this thread and those that it makes are moved to the new mount namespace, and it owns
                // no file system state that others rely on.
                unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("this test needs root");
                let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
                mount_change("/", private).unwrap();
                let root = tempfile::tempdir().unwrap();
                let options = std::ffi::CString::new(format!("size={size}")).unwrap();
                mount("tmpfs", root.path(), "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
                let setup = Setup::at(root);
                test(&setup);
                let path = setup.root.path().to_owned();
                drop(setup.conn);
                rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).unwrap();
            })
            .join()
            .unwrap();
    });
}

fn grow(root: &Path, size: &str) {
    let options = std::ffi::CString::new(format!("size={size}")).unwrap();
    mount_remount(root, MountFlags::empty(), options.as_c_str()).unwrap();
}

/// Nothing is left but whole blobs.
fn assert_whole_only(setup: &Setup) {
    assert!(setup.store.list(&setup.conn).unwrap().is_empty());
    for directory in ["blobs/tmp", "layers/tmp"] {
        assert_eq!(list(&setup.root.path().join(directory)), [""; 0], "{directory}");
    }
    for (_, blob) in setup.store.blob_files().unwrap() {
        setup.store.content.verify(&blob).unwrap();
    }
    for (path, blob) in setup.store.partial_files().unwrap() {
        assert!(blob.is_of(&std::fs::read(path).unwrap()), "{blob} is not whole");
    }
}

#[test]
fn blobs_that_do_not_fit() {
    on_small_disk("2m", |setup| {
        let registry = Registry::with(&[layer("small", 100_000), layer("large", 4_000_000)]);
        let [small, large] = &registry.layers()[..] else { panic!("two layers") };
        let options = PullOptions { downloads: 1, ..PullOptions::default() };
        let failure = setup.pull_with(&registry, "app", &options).0.unwrap_err();
        assert!(matches!(failure, Error::NoSpace { .. }), "{failure}");
        assert_eq!(
            failure.to_string(),
            format!(
                "no space left on device while writing layer {} below {}: free space, or move the store with --root",
                large.short(),
                setup.root.path().display()
            )
        );
        assert_whole_only(setup);
        registry.take_log();
        grow(setup.root.path(), "64m");
        setup.pull(&registry, "app").unwrap();
        let log = registry.take_log();
        assert!(log.contains(&(large.clone(), 0)), "{log:?}");
        assert!(log.iter().all(|(blob, _)| blob != small), "{log:?}");
        assert_eq!(setup.store.check(&setup.conn, false).unwrap(), []);
    });
}

#[test]
fn layers_that_do_not_fit() {
    // A text of one letter takes little until it is unpacked.
    let tar = Tar::new().entry(b'0', "large", |_| {}, &[b'x'].repeat(6 << 20)).end();
    on_small_disk("3m", |setup| {
        let registry = Registry::with(&[layer("small", 100_000), tar.clone()]);
        let failure = setup.pull(&registry, "app").unwrap_err();
        assert!(matches!(failure, Error::NoSpace { .. }), "{failure}");
        assert!(failure.to_string().contains(registry.layers()[1].short()), "{failure}");
        assert_whole_only(setup);
        registry.take_log();
        grow(setup.root.path(), "64m");
        setup.pull(&registry, "app").unwrap();
        assert_eq!(registry.take_log(), []);
    });
    on_small_disk("3m", |setup| {
        let failure = setup.load(&Layout::new().image("app", std::slice::from_ref(&tar)).tar()).unwrap_err();
        assert!(matches!(failure, Error::NoSpace { .. }), "{failure}");
        setup.assert_empty();
    });
}
