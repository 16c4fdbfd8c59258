use std::fs;
use std::os::unix::net::UnixListener;

use rustix::mount::UnmountFlags;

use super::*;

/// Runs `test` on a thread with a mount namespace of its own, in an empty directory, with an "overlay".
fn in_namespace(test: impl FnOnce(&Path, &OwnedFd) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        rootfs::enter_namespace().expect("a mount namespace");
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("root");
        fs::create_dir(&root).expect("mkdir");
        fs::write(root.join("in-root"), "x").expect("write");
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let overlay = rustix::mount::open_tree(CWD, &root, clone).expect("open_tree");
        test(directory.path(), &overlay);
        let _ = rustix::mount::unmount(directory.path().join("share"), UnmountFlags::DETACH);
    });
    thread.join().expect("the test");
}

fn entry(share: Share, name: &str, source: PathBuf) -> Entry {
    Entry { share, name: name.into(), source, recursive: true, follow: false }
}

#[test]
fn every_source_appears_in_its_share() {
    in_namespace(|at, overlay| {
        let volume = at.join("volume");
        fs::create_dir_all(volume.join("below")).unwrap();
        rustix::mount::mount("t", volume.join("below"), "tmpfs", MountFlags::empty(), None).unwrap();
        fs::write(volume.join("below/deep"), "d").unwrap();
        fs::write(at.join("hosts"), "127.0.0.1 localhost").unwrap();
        let mut flat = entry(Share::Shared, "1", volume.clone());
        flat.recursive = false;
        let entries = [
            entry(Share::Private, "files/hosts", at.join("hosts")),
            entry(Share::Shared, "0", volume.clone()),
            flat,
            entry(Share::ReadOnly, "0", volume.clone()),
        ];
        let shares = at.join("share");
        make(&shares, overlay, &entries).unwrap();
        assert!(shares.join("private/rootfs/in-root").exists());
        assert_eq!(fs::read_to_string(shares.join("private/files/hosts")).unwrap(), "127.0.0.1 localhost");
        fs::write(shares.join("shared/0/new"), "n").unwrap();
        assert!(volume.join("new").exists());
        assert!(shares.join("shared/0/below/deep").exists());
        assert!(!shares.join("shared/1/below/deep").exists());
        for file in ["new", "below/deep"] {
            let error = fs::write(shares.join("readonly/0").join(file), "no").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{file}");
        }
        assert_eq!(entries[0].guest_path(), Path::new("/run/share/private/files/hosts"));
        rustix::mount::unmount(volume.join("below"), UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn shares_without_entries_are_not_there() {
    in_namespace(|at, overlay| {
        make(&at.join("share"), overlay, &[]).unwrap();
        let names: Vec<_> = fs::read_dir(at.join("share")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["private"]);
    });
}

#[test]
fn what_means_nothing_in_another_machine_is_refused_by_name() {
    in_namespace(|at, _| {
        let socket = at.join("docker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        for (source, kind) in [(socket, "Unix socket"), (PathBuf::from("/dev/null"), "device")] {
            fs::create_dir_all(at.join("share/shared")).unwrap();
            let error =
                place(&at.join("share"), &entry(Share::Shared, "0", source.clone())).unwrap_err().message;
            assert!(error.contains(&source.display().to_string()) && error.contains(kind), "{error}");
            assert!(error.contains("--isolation=process"), "{error}");
        }
    });
}

#[test]
fn a_source_that_is_not_there_is_named() {
    in_namespace(|at, overlay| {
        let entries = [entry(Share::ReadOnly, "0", at.join("nowhere"))];
        let error = make(&at.join("share"), overlay, &entries).unwrap_err().message;
        assert!(error.starts_with("open ") && error.contains("nowhere"), "{error}");
    });
}
