//! Images and specs that want out. The advisories' names say which door is tried.

use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use sandbox_container::Error;

use crate::Test;
use crate::mounts::{add, mount};
use crate::support::{Bundle, edit_process, linux, run, script, spec, strings};

pub(crate) const TESTS: &[Test] = &[
    ("hostile::mount_targets_that_are_links", mount_targets_that_are_links),
    ("hostile::proc_that_is_a_link_or_a_fake", proc_that_is_a_link_or_a_fake),
    ("hostile::mounts_over_proc", mounts_over_proc),
    ("hostile::masked_paths_that_are_links", masked_paths_that_are_links),
    ("hostile::a_working_directory_outside", a_working_directory_outside),
    ("hostile::a_fake_null_device", a_fake_null_device),
    ("hostile::a_dev_full_of_links", a_dev_full_of_links),
    ("hostile::nonsense_in_the_spec", nonsense_in_the_spec),
];

fn mount_targets_that_are_links() {
    let bundle = Bundle::new();
    let host = tempfile::tempdir().expect("dir");
    let outside = host.path().join("outside");
    let climbing = format!("/../../../../..{}", outside.display());
    std::fs::create_dir_all(&outside).expect("mkdir");
    symlink(&climbing, bundle.root().join("link")).expect("symlink");
    symlink(&outside, bundle.root().join("absolute")).expect("symlink");
    let mut spec = spec(&bundle, &[]);
    add(&mut spec, mount("/link/made", "tmpfs", "tmpfs", &[]));
    add(&mut spec, mount("/absolute/made", "tmpfs", "tmpfs", &[]));
    add(&mut spec, mount("/../../..//dots", "tmpfs", "tmpfs", &[]));
    add(&mut spec, mount("/absolute/file", "bind", "/etc/hostname", &["bind"]));
    let text = script(&bundle, &mut spec, "mount | grep tmpfs");
    assert!(text.contains(" on /dots "), "{text}");
    // Both ended inside, below the same name.
    assert!(text.contains(&format!(" on {}/made ", outside.display())), "{text}");
    assert_eq!(std::fs::read_dir(&outside).expect("readdir").count(), 0, "something was made on the host");
}

fn proc_that_is_a_link_or_a_fake() {
    let bundle = Bundle::new();
    std::fs::remove_dir(bundle.root().join("proc")).expect("rmdir");
    symlink("/elsewhere", bundle.root().join("proc")).expect("symlink");
    std::fs::create_dir(bundle.root().join("elsewhere")).expect("mkdir");
    let error = run(&bundle, &spec(&bundle, &["true"])).expect_err("a link");
    assert!(
        matches!(error, Error::Refused(_)) && error.to_string().contains("ordinary directory"),
        "{error}"
    );

    std::fs::remove_file(bundle.root().join("proc")).expect("rm");
    std::fs::create_dir_all(bundle.root().join("proc/self/attr")).expect("mkdir");
    bundle.write("proc/self/status", "fake\n");
    let text = script(&bundle, &mut spec(&bundle, &[]), "grep -c fake /proc/self/status; true");
    assert_eq!(text, "0\n");
}

fn mounts_over_proc() {
    let bundle = Bundle::new();
    let host = tempfile::tempdir().expect("dir");
    let path = host.path().to_str().expect("a path");
    for (destination, kind) in
        [("/proc/self/attr", "tmpfs"), ("/proc", "tmpfs"), ("/proc/sys", "bind"), ("/proc", "bind")]
    {
        let mut spec = spec(&bundle, &["true"]);
        add(&mut spec, mount(destination, kind, path, &[if kind == "bind" { "bind" } else { "ro" }]));
        let error = run(&bundle, &spec).expect_err(destination);
        assert!(error.to_string().contains("it is inside /proc"), "{destination}: {error}");
    }
    std::fs::write(host.path().join("cpuinfo"), "mine\n").expect("write");
    let mut spec = spec(&bundle, &[]);
    add(&mut spec, mount("/proc/cpuinfo", "bind", &format!("{path}/cpuinfo"), &["bind"]));
    assert_eq!(script(&bundle, &mut spec, "cat /proc/cpuinfo"), "mine\n");
}

fn masked_paths_that_are_links() {
    let bundle = Bundle::new();
    symlink("/../../../../etc", bundle.root().join("hidden")).expect("symlink");
    symlink("/proc/self/fd", bundle.root().join("magic")).expect("symlink");
    let mut spec = spec(&bundle, &[]);
    linux(&mut spec, |linux| {
        linux.set_masked_paths(Some(strings(&["/hidden"])));
        linux.set_readonly_paths(Some(strings(&["/../bin"])));
    });
    let text = script(&bundle, &mut spec, "ls -A /etc; touch /bin/x; true");
    assert!(!text.contains("passwd") && text.contains("Read-only"), "{text}");
    assert!(Path::new("/etc/passwd").exists());
}

/// CVE-2024-21626: the working directory, and the command, through a descriptor of the host that is left open.
fn a_working_directory_outside() {
    let bundle = Bundle::new();
    let host = std::fs::File::open("/").expect("open");
    // Not CLOEXEC: as a careless caller would leak it.
    let leaked = rustix::io::dup(&host).expect("dup");
    for fd in (3..40).chain([leaked.as_raw_fd()]) {
        let mut spec = spec(&bundle, &["cat", "../../../etc/hostname"]);
        edit_process(&mut spec, |process| {
            process.set_cwd(format!("/proc/self/fd/{fd}").into());
        });
        assert!(run(&bundle, &spec).is_err(), "descriptor {fd} led somewhere");
        let spec = self::spec(&bundle, &[&format!("/proc/self/fd/{fd}/bin/sh"), "-c", "true"]);
        assert!(run(&bundle, &spec).is_err(), "descriptor {fd} led to a command");
    }
    symlink("/proc/self/cwd/../../..", bundle.root().join("up")).expect("symlink");
    let mut spec = spec(&bundle, &[]);
    edit_process(&mut spec, |process| {
        process.set_cwd("/up".into());
    });
    // Magic links are not followed when it is made; then it is just the root of the container.
    if let Ok((_, text)) = run(&bundle, &{
        let mut spec = spec.clone();
        edit_process(&mut spec, |process| {
            process.set_args(Some(strings(&["ls", "/etc/hostname"])));
        });
        spec
    }) {
        assert!(text.contains("No such file"), "{text}");
    }
}

/// CVE-2025-31133: the image's /dev/null is a link to what shall not be masked but bound.
fn a_fake_null_device() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &["sh", "-c", "ls -l /dev/null; cat /proc/keys; true"]);
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.retain(|mount| !mount.destination().starts_with("/dev"));
    spec.set_mounts(Some(mounts));
    symlink("/proc/sys/kernel/core_pattern", bundle.root().join("dev/null")).expect("symlink");
    let error = run(&bundle, &spec).expect_err("not a device");
    assert!(error.to_string().contains("/dev/null is there already and is another file"), "{error}");
    std::fs::remove_file(bundle.root().join("dev/null")).expect("rm");
    // Without devices of the image's own all is well, and what is masked is the real null device.
    let (_, text) = run(&bundle, &spec).expect("it runs");
    assert!(text.contains("1,   3"), "{text}");
}

fn a_dev_full_of_links() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &["sh", "-c", "ls -l /dev; true"]);
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.retain(|mount| !mount.destination().starts_with("/dev") || mount.destination().ends_with("pts"));
    spec.set_mounts(Some(mounts));
    let host = tempfile::NamedTempFile::new().expect("a file");
    for name in ["console", "ptmx", "fd", "stdin"] {
        symlink(host.path(), bundle.root().join("dev").join(name)).expect("symlink");
    }
    edit_process(&mut spec, |process| {
        process.set_terminal(Some(true));
    });
    let id = crate::support::unique();
    let mut container = sandbox_container::create(sandbox_container::CreateOptions {
        stdio: sandbox_container::Stdio::Terminal { rows: 0, cols: 0 },
        ..crate::support::options(&id, &spec, &bundle)
    })
    .expect("created");
    container.start().expect("started");
    container.wait().expect("waited");
    container.delete().expect("deleted");
    assert_eq!(std::fs::metadata(host.path()).expect("stat").len(), 0);
    let ptmx = std::fs::read_link(bundle.root().join("dev/ptmx")).expect("a link");
    assert_eq!(ptmx.to_str(), Some("pts/ptmx"));
}

fn nonsense_in_the_spec() {
    let bundle = Bundle::new();
    let refused = |change: &dyn Fn(&mut oci_spec::runtime::Spec), words: &str| {
        let mut spec = spec(&bundle, &["true"]);
        change(&mut spec);
        let error = run(&bundle, &spec).expect_err(words);
        assert!(error.to_string().contains(words), "{words:?}: {error}");
        assert_eq!(error.exit_code(), 125);
    };
    refused(&|spec| _ = spec.set_root(None), "root is missing");
    refused(&|spec| _ = spec.set_linux(None), "linux is missing");
    refused(&|spec| edit_process(spec, |process| _ = process.set_args(Some(vec![]))), "nothing to run");
    refused(&|spec| edit_process(spec, |process| _ = process.set_oom_score_adj(Some(1001))), "oomScoreAdj");
    refused(
        &|spec| linux(spec, |linux| _ = linux.set_rootfs_propagation(Some("sideways".into()))),
        "rootfsPropagation",
    );
    refused(&|spec| add(spec, mount("", "tmpfs", "", &[])), "without destination");
    refused(&|spec| add(spec, mount("/x", "", "", &[])), "no type");
    refused(&|spec| _ = spec.set_hostname(Some("x".repeat(65))), "hostname");
    let spec = spec(&bundle, &["true"]);
    let mut options = crate::support::options("../escape", &spec, &bundle);
    assert!(sandbox_container::create(options).is_err());
    options = crate::support::options("fine", &spec, &bundle);
    options.cgroup = Some("/tmp".into());
    let error = sandbox_container::create(options).expect_err("not a cgroup").to_string();
    assert!(error.contains("not inside a cgroup2 mount"), "{error}");
}
