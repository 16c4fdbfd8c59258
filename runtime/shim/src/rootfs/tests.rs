use std::fs;

use super::*;

/// Runs `test` on a thread with a mount namespace of its own, in an empty directory.
fn in_namespace(test: impl FnOnce(&Path) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        enter_namespace().expect("a mount namespace");
        let directory = tempfile::tempdir().expect("a directory");
        // The root file system of the machine may not serve as an upper layer.
        rustix::mount::mount("test", directory.path(), "tmpfs", MountFlags::empty(), None).expect("tmpfs");
        test(directory.path());
        rustix::mount::unmount(directory.path(), UnmountFlags::DETACH).expect("unmount");
    });
    thread.join().expect("the test");
}

fn layers(at: &Path, count: usize) -> Rootfs {
    let mut lower = Vec::new();
    for number in 0..count {
        // As long as the names of the store.
        let layer = at.join(format!("layers/{number:0>64}/diff"));
        fs::create_dir_all(&layer).unwrap();
        fs::write(layer.join(format!("file{number}")), "below").unwrap();
        fs::write(layer.join("same"), number.to_string()).unwrap();
        lower.push(layer);
    }
    for directory in ["upper", "work", "at"] {
        fs::create_dir_all(at.join(directory)).unwrap();
    }
    Rootfs { lower, upper: at.join("upper"), work: at.join("work"), volatile: true }
}

#[test]
fn layers_are_stacked_top_most_first_and_writes_stay_in_upper() {
    in_namespace(|at| {
        let rootfs = layers(at, 100);
        let mounted = mount(&rootfs, &at.join("at")).unwrap();
        assert!(fs::read_dir(at.join("at")).unwrap().next().is_none(), "attached already");
        attach(&mounted, &at.join("at")).unwrap();
        assert_eq!(fs::read_to_string(at.join("at/same")).unwrap(), "0");
        assert!(at.join("at/file99").exists());
        fs::write(at.join("at/new"), "x").unwrap();
        fs::remove_file(at.join("at/file7")).unwrap();
        assert!(at.join("upper/new").exists());
        assert!(rootfs.lower[7].join("file7").exists());
    });
}

#[test]
fn kernels_without_appended_layers_mount_the_same() {
    in_namespace(|at| {
        let rootfs = layers(at, 100);
        let opened = Layers::open(&rootfs).unwrap();
        let mounted = opened.mount_old(&at.join("at")).unwrap();
        assert!(fs::read_dir(at.join("at")).unwrap().next().is_none(), "attached already");
        attach(&mounted, &at.join("at")).unwrap();
        assert_eq!(fs::read_to_string(at.join("at/same")).unwrap(), "0");
        assert!(at.join("at/file99").exists());
    });
}

#[test]
fn mounts_are_not_seen_outside() {
    in_namespace(|at| {
        let mounted = mount(&layers(at, 1), &at.join("at")).unwrap();
        attach(&mounted, &at.join("at")).unwrap();
        let text = |path: &str| fs::read_to_string(path).unwrap();
        let place = at.join("at").display().to_string();
        assert!(text("/proc/thread-self/mountinfo").contains(&place));
        assert!(!text("/proc/self/mountinfo").contains(&place));
    });
}

#[test]
fn errors_name_the_directory_and_the_remedy() {
    in_namespace(|at| {
        let mut rootfs = layers(at, 1);
        rootfs.lower.push(at.join("nowhere"));
        let error = mount(&rootfs, &at.join("at")).unwrap_err().message;
        assert!(error.starts_with("open the directory ") && error.contains("nowhere"), "{error}");
        rootfs.lower.pop();
        // Upper and work on two file systems.
        rustix::mount::mount("test", at.join("work"), "tmpfs", MountFlags::empty(), None).unwrap();
        let error = mount(&rootfs, &at.join("at")).unwrap_err().message;
        assert!(error.contains("overlay of 1 layers and") && error.contains("--root"), "{error}");
    });
}
