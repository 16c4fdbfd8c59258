//! Mounts of the spec.

use std::os::unix::fs::MetadataExt;

use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, Mount, Spec};
use sandbox_container::ExitStatus;

use crate::Test;
use crate::support::{Bundle, linux, run, script, spec, strings};

pub(crate) const TESTS: &[Test] = &[
    ("mounts::binds", binds),
    ("mounts::recursive_read_only", recursive_read_only),
    ("mounts::tmpfs_keeps_or_copies_what_is_below", tmpfs_keeps_or_copies_what_is_below),
    ("mounts::a_read_only_root", a_read_only_root),
    ("mounts::id_mapped", id_mapped),
    ("mounts::unknown_options_are_named", unknown_options_are_named),
    ("mounts::nothing_leaks_to_the_host", nothing_leaks_to_the_host),
];

pub(crate) fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(destination.into()).set_typ(Some(kind.to_owned())).set_source(Some(source.into()));
    mount.set_options(Some(strings(options)));
    mount
}

pub(crate) fn add(spec: &mut Spec, mount: Mount) {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.push(mount);
    spec.set_mounts(Some(mounts));
}

fn binds() {
    let bundle = Bundle::new();
    let host = tempfile::tempdir().expect("dir");
    std::fs::write(host.path().join("file"), "from the host\n").expect("write");
    let path = host.path().to_str().expect("a path");
    let mut spec = spec(&bundle, &[]);
    add(&mut spec, mount("/data/rw", "bind", path, &["rbind"]));
    add(&mut spec, mount("/data/ro", "bind", path, &["rbind", "ro", "nosuid", "noexec"]));
    add(&mut spec, mount("/etc/one/file", "none", &format!("{path}/file"), &["bind", "ro"]));
    let text = script(
        &bundle,
        &mut spec,
        "cat /etc/one/file; echo new >/data/rw/new; cat /data/ro/new; touch /data/ro/x; echo x >>/etc/one/file; \
         mount | grep /data/ro; true",
    );
    assert!(text.starts_with("from the host\nnew\n"), "{text}");
    assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
    assert!(text.contains("(ro,nosuid,noexec,relatime"), "{text}");
    assert_eq!(std::fs::read_to_string(host.path().join("new")).expect("made by the container"), "new\n");
    assert_eq!(std::fs::read_to_string(host.path().join("file")).expect("read"), "from the host\n");
    let mut missing = self::spec(&bundle, &["true"]);
    add(&mut missing, mount("/x", "bind", "/no/such/source", &["bind"]));
    let error = run(&bundle, &missing).expect_err("no source").to_string();
    assert_eq!(error, "open bind source /no/such/source: no such file or directory");
}

fn recursive_read_only() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    // The host's /dev with its mounts below: only the recursive word reaches those.
    add(&mut spec, mount("/plain", "bind", "/dev", &["rbind", "ro"]));
    add(&mut spec, mount("/deep", "bind", "/dev", &["rbind", "rro", "rnosuid"]));
    let text = script(&bundle, &mut spec, "mount | grep -E ' /(plain|deep)/shm '");
    let line = |word: &str| text.lines().find(|line| line.contains(word)).expect("a line").to_owned();
    assert!(line("/plain").contains("(rw,"), "{text}");
    assert!(line("/deep").contains("(ro,nosuid"), "{text}");
}

fn tmpfs_keeps_or_copies_what_is_below() {
    let bundle = Bundle::new();
    std::fs::create_dir_all(bundle.root().join("var/lib")).expect("mkdir");
    bundle.write("var/lib/file", "text\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1770);
    std::fs::set_permissions(bundle.root().join("var/lib"), mode).expect("chmod");
    let mut spec = spec(&bundle, &[]);
    add(&mut spec, mount("/var/lib", "tmpfs", "tmpfs", &["nosuid"]));
    add(&mut spec, mount("/new", "tmpfs", "tmpfs", &["size=64k"]));
    let text = script(
        &bundle,
        &mut spec,
        "stat -c %a /var/lib /new; ls /var/lib; dd if=/dev/zero of=/new/x bs=1k count=65; true",
    );
    assert!(text.starts_with("1770\n1777\n") && text.contains("No space left"), "{text}");
    let mut copied = self::spec(&bundle, &[]);
    add(&mut copied, mount("/var/lib", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]));
    let text = script(&bundle, &mut copied, "cat /var/lib/file; touch /var/lib/x; true");
    assert!(text.starts_with("text\n") && text.contains("Read-only"), "{text}");
}

fn a_read_only_root() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let mut root = spec.root().clone().expect("a root");
    root.set_readonly(Some(true));
    spec.set_root(Some(root));
    let text = script(
        &bundle,
        &mut spec,
        "touch /x; touch /dev/shm/ok && echo fine; echo 1 >/proc/sys/vm/drop_caches; true",
    );
    assert!(text.contains("/x: Read-only file system") && text.contains("fine"), "{text}");
    assert!(text.contains("/proc/sys/vm/drop_caches: Read-only"), "{text}");
}

fn mapping(container: u32, host: u32, size: u32) -> LinuxIdMapping {
    LinuxIdMappingBuilder::default()
        .container_id(container)
        .host_id(host)
        .size(size)
        .build()
        .expect("a mapping")
}

fn id_mapped() {
    let bundle = Bundle::new();
    let host = tempfile::tempdir().expect("dir");
    let path = host.path().to_str().expect("a path");
    let mut spec = spec(&bundle, &[]);
    let mut idmapped = mount("/data", "bind", path, &["rbind"]);
    idmapped.set_uid_mappings(Some(vec![mapping(0, 5000, 1000)]));
    idmapped.set_gid_mappings(Some(vec![mapping(0, 6000, 1000)]));
    add(&mut spec, idmapped);
    std::fs::write(host.path().join("theirs"), "").expect("write");
    std::os::unix::fs::chown(host.path().join("theirs"), Some(7), Some(8)).expect("chown");
    let text = script(&bundle, &mut spec, "stat -c %u:%g /data/theirs");
    // The mapping goes from what is on disk to what the mount shows.
    assert_eq!(text, "5007:6008\n");
    let mut nonsense = self::spec(&bundle, &["true"]);
    add(&mut nonsense, mount("/x", "bind", path, &["bind", "idmap"]));
    let error = run(&bundle, &nonsense).expect_err("no mappings").to_string();
    assert!(error.contains("no uid or no gid mappings"), "{error}");
}

fn unknown_options_are_named() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &["true"]);
    add(&mut spec, mount("/x", "tmpfs", "tmpfs", &["size=64k", "colour=blue"]));
    let error = run(&bundle, &spec).expect_err("no such option").to_string();
    assert!(error.contains("colour") && error.contains("on /x"), "{error}");
}

fn nothing_leaks_to_the_host() {
    let bundle = Bundle::new();
    let before = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let root = std::fs::metadata("/").expect("stat");
    let mut spec = spec(&bundle, &["true"]);
    linux(&mut spec, |linux| {
        linux.set_rootfs_propagation(Some("shared".to_owned()));
    });
    assert_eq!(run(&bundle, &spec).expect("it runs").0, ExitStatus::Code(0));
    assert_eq!(before, std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"));
    assert_eq!(root.ino(), std::fs::metadata("/").expect("stat").ino());
    let text = script(
        &bundle,
        &mut spec,
        "grep ' / / ' /proc/self/mountinfo || grep -E '^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ / ' /proc/self/mountinfo",
    );
    assert!(text.contains("shared:"), "{text}");
}
