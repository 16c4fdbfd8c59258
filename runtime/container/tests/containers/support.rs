//! A tiny root file system of busybox, specs as Docker would write them, and running a command to its end.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType as Type, LinuxResources, Process, Spec,
};
use sandbox_container::{
    Container, CreateOptions, Error, ExitStatus, Stdio, cgroup_mount_point, create, defaults,
};

const BUSYBOX: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"];

/// A bundle directory that goes away with it.
pub(crate) struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    pub(crate) fn new() -> Self {
        let bundle = Bundle { dir: tempfile::tempdir().expect("a directory") };
        let busybox =
            BUSYBOX.iter().find(|path| Path::new(path).exists()).expect("busybox-static is installed");
        for directory in ["bin", "etc", "proc", "sys", "dev", "tmp", "root"] {
            fs::create_dir_all(bundle.root().join(directory)).expect("mkdir");
        }
        fs::copy(busybox, bundle.root().join("bin/busybox")).expect("copy");
        for applet in [
            "sh", "true", "false", "cat", "ls", "id", "stat", "mount", "sleep", "head", "stty", "ps", "grep",
            "mkdir", "rmdir", "ln", "mknod", "touch", "echo", "env", "hostname", "readlink", "kill", "chmod",
            "dd", "test", "tty", "od", "ip", "ifconfig", "yes", "tail", "cut", "umount", "find", "wc",
            "chroot", "unshare",
        ] {
            symlink("busybox", bundle.root().join("bin").join(applet)).expect("symlink");
        }
        bundle.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/false\n");
        bundle.write("etc/group", "root:x:0:\nwww:x:33:\naudio:x:29:www\n");
        bundle
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.root().join(path), text).expect("write");
    }
}

pub(crate) fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

pub(crate) fn namespace(kind: Type) -> LinuxNamespace {
    LinuxNamespaceBuilder::default().typ(kind).build().expect("a namespace")
}

/// A process as Docker's defaults make it.
pub(crate) fn process(args: &[&str]) -> Process {
    let mut process = Process::default();
    process.set_args(Some(strings(args)));
    process.set_env(Some(strings(&["PATH=/bin:/sbin", "TERM=xterm"])));
    process.set_cwd("/".into());
    process.set_terminal(Some(false));
    process.set_rlimits(None);
    process.set_no_new_privileges(Some(false));
    process.set_capabilities(Some(defaults::capability_sets(&defaults::capabilities(), 0)));
    process
}

/// A spec as Docker's defaults make it.
pub(crate) fn spec(bundle: &Bundle, args: &[&str]) -> Spec {
    let mut spec = Spec::default();
    spec.set_process(Some(process(args)));
    let mut root = oci_spec::runtime::Root::default();
    root.set_path(bundle.root());
    root.set_readonly(Some(false));
    spec.set_root(Some(root));
    spec.set_hostname(Some("box".to_owned()));
    spec.set_mounts(Some(defaults::mounts(1 << 20)));
    let mut linux = oci_spec::runtime::Linux::default();
    linux.set_namespaces(Some(
        [Type::Pid, Type::Mount, Type::Network, Type::Uts, Type::Ipc, Type::Cgroup].map(namespace).to_vec(),
    ));
    linux.set_masked_paths(Some(defaults::masked_paths()));
    linux.set_readonly_paths(Some(defaults::readonly_paths()));
    linux.set_seccomp(Some(defaults::seccomp(&defaults::capabilities())));
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(defaults::device_rules()));
    linux.set_resources(Some(resources));
    spec.set_linux(Some(linux));
    spec
}

/// Applies a change to the Linux part of a spec.
pub(crate) fn linux(spec: &mut Spec, change: impl FnOnce(&mut oci_spec::runtime::Linux)) {
    let mut linux = spec.linux().clone().expect("a linux part");
    change(&mut linux);
    spec.set_linux(Some(linux));
}

/// Applies a change to the process of a spec.
pub(crate) fn edit_process(spec: &mut Spec, change: impl FnOnce(&mut Process)) {
    let mut process = spec.process().clone().expect("a process");
    change(&mut process);
    spec.set_process(Some(process));
}

/// Where the tests' cgroups are.
pub(crate) fn cgroups() -> PathBuf {
    cgroup_mount_point().expect("a cgroup v2 mount").join("sandbox-tests")
}

pub(crate) fn options<'a>(id: &'a str, spec: &'a Spec, bundle: &'a Bundle) -> CreateOptions<'a> {
    CreateOptions {
        cgroup: Some(cgroups()),
        die_with_parent: true,
        ..CreateOptions::new(id, spec, bundle.path())
    }
}

/// Where a process's output goes.
pub(crate) struct Output {
    file: File,
}

impl Output {
    pub(crate) fn new() -> Self {
        Output { file: tempfile::tempfile().expect("a file") }
    }

    pub(crate) fn stdio(&self) -> Stdio {
        let fd = || OwnedFd::from(self.file.try_clone().expect("a copy"));
        Stdio::Pipes { stdin: None, stdout: fd(), stderr: fd() }
    }

    /// Waits until `word` has been written.
    pub(crate) fn wait_for(&self, word: &str) {
        use std::os::unix::fs::FileExt;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = self.file.read_at(&mut buffer, 0).expect("read");
            if String::from_utf8_lossy(&buffer[..count]).contains(word) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    pub(crate) fn text(mut self) -> String {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).expect("seek");
        self.file.read_to_string(&mut text).expect("read");
        text
    }
}

/// Runs a spec to its end: status and output.
pub(crate) fn run_with(options: CreateOptions<'_>) -> Result<(ExitStatus, String), Error> {
    let output = Output::new();
    let mut container = create(CreateOptions { stdio: output.stdio(), ..options })?;
    let started = container.start();
    let status = container.wait().expect("waited");
    let cgroup = container.cgroup().map(Path::to_owned);
    container.delete().expect("deleted");
    assert!(cgroup.is_none_or(|cgroup| !cgroup.exists()), "the cgroup is left");
    started.map(|()| (status, output.text()))
}

pub(crate) fn run(bundle: &Bundle, spec: &Spec) -> Result<(ExitStatus, String), Error> {
    let id = unique();
    run_with(options(&id, spec, bundle))
}

/// Output of a script that has to succeed.
pub(crate) fn script(bundle: &Bundle, spec: &mut Spec, text: &str) -> String {
    edit_process(spec, |process| {
        process.set_args(Some(strings(&["sh", "-c", text])));
    });
    let (status, output) = run(bundle, spec).expect("it runs");
    assert_eq!(status, ExitStatus::Code(0), "{text}: {output}");
    output
}

pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn start(bundle: &Bundle, spec: &Spec, output: &Output) -> Container {
    let id = unique();
    let mut container =
        create(CreateOptions { stdio: output.stdio(), ..options(&id, spec, bundle) }).expect("created");
    container.start().expect("started");
    container
}
