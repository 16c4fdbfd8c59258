//! Namespaces that are not the container's own: its processes are ended all the same, and shared memory is shared
//! without leaving the container it is taken from.

use std::os::fd::AsFd;
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceBuilder, LinuxNamespaceType as Type, Mount, Spec};
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount};
use rustix::process::Signal;
use sandbox_container::{Container, CreateOptions, ExitStatus, create, shared_memory};

use crate::Test;
use crate::support::{
    Bundle, Output, edit_process, linux, options, process, script, spec, start, strings, unique,
};

pub(crate) const TESTS: &[Test] = &[
    ("shared::the_hosts_processes", the_hosts_processes),
    ("shared::others_end_with_an_init_among_the_hosts_processes", others_end_with_the_init),
    ("shared::a_killed_container_among_the_hosts_processes", killed_as_a_whole),
    ("shared::a_reaper_that_is_not_pid_1", a_reaper_that_is_not_pid_1),
    ("shared::others_end_with_an_init_in_anothers_namespace", others_end_in_a_joined_namespace),
    ("shared::the_hosts_names_and_ipc", the_hosts_names_and_ipc),
    ("shared::memory", memory),
    ("shared::memory_that_is_none", memory_that_is_none),
];

fn without(spec: &mut Spec, kind: Type) {
    linux(spec, |linux| {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.retain(|namespace| namespace.typ() != kind);
        linux.set_namespaces(Some(namespaces));
    });
}

fn joining(spec: &mut Spec, kind: Type, path: &str) {
    without(spec, kind);
    linux(spec, |linux| {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.push(LinuxNamespaceBuilder::default().typ(kind).path(path).build().expect("a namespace"));
        linux.set_namespaces(Some(namespaces));
    });
}

fn with_command(mut spec: Spec, text: &str) -> Spec {
    edit_process(&mut spec, |process| {
        process.set_args(Some(strings(&["sh", "-c", text])));
    });
    spec
}

/// Waits until the cgroup has no process.
fn until_empty(container: &Container) {
    let cgroup = container.cgroup().expect("a cgroup").to_owned();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !std::fs::read_to_string(cgroup.join("cgroup.procs")).expect("read").is_empty() {
        assert!(std::time::Instant::now() < end, "processes are left");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn the_hosts_processes() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    without(&mut spec, Type::Pid);
    let text =
        script(&bundle, &mut spec, "echo $$; readlink /proc/self/ns/pid; cat /proc/1/comm; echo $PPID");
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_ne!(words[0], "1");
    let own = std::fs::read_link("/proc/self/ns/pid").expect("a link");
    assert_eq!(Path::new(words[1]), own);
    assert_eq!(words[2], std::fs::read_to_string("/proc/1/comm").expect("read").trim());
    assert_eq!(words[3], std::process::id().to_string());
}

/// The kernel does not do it here, and the pipes of those that are left would stay open.
fn others_end_with_the_init() {
    let bundle = Bundle::new();
    let mut spec = with_command(spec(&bundle, &[]), "sleep 1000 & (sleep 1000 &) ; echo up; exit 3");
    without(&mut spec, Type::Pid);
    let output = Output::new();
    let mut container = start(&bundle, &spec, &output);
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(3));
    until_empty(&container);
    container.delete().expect("deleted");
    assert_eq!(output.text(), "up\n");
}

fn killed_as_a_whole() {
    let bundle = Bundle::new();
    let mut spec = with_command(spec(&bundle, &[]), "sleep 1000 & echo up; sleep 1000");
    without(&mut spec, Type::Pid);
    let output = Output::new();
    let mut container = start(&bundle, &spec, &output);
    output.wait_for("up");
    let other = container.exec(&process(&["sleep", "1000"]), Output::new().stdio()).expect("exec");
    assert!(container.processes().expect("a list").len() >= 3);
    container.kill_all().expect("killed");
    assert_eq!(container.wait().expect("waited"), ExitStatus::Signal(9));
    assert_eq!(other.wait().expect("waited"), ExitStatus::Signal(9));
    until_empty(&container);
    let cgroup = container.cgroup().expect("a cgroup").to_owned();
    container.delete().expect("deleted");
    assert!(!cgroup.exists());
}

/// `--init` with `--pid host`: orphans are its own all the same, and signals reach the command.
fn a_reaper_that_is_not_pid_1() {
    let bundle = Bundle::new();
    let text = "trap 'exit 7' TERM; (sh -c 'sleep 0.05; exec cut -d\" \" -f4 /proc/self/stat' &); sleep 0.5; echo $PPID; \
                echo up; while :; do sleep 0.01; done";
    let mut spec = with_command(spec(&bundle, &[]), text);
    without(&mut spec, Type::Pid);
    let output = Output::new();
    let id = unique();
    let options = CreateOptions { init: true, stdio: output.stdio(), ..options(&id, &spec, &bundle) };
    let mut container = create(options).expect("created");
    container.start().expect("started");
    output.wait_for("up");
    container.signal(Signal::TERM).expect("sent");
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(7));
    let init = container.pid().as_raw_nonzero().to_string();
    container.delete().expect("deleted");
    assert_eq!(output.text(), format!("{init}\n{init}\nup\n"), "the orphan's parent, the command's");
}

fn others_end_in_a_joined_namespace() {
    let bundle = Bundle::new();
    let output = Output::new();
    let first = start(&bundle, &spec(&bundle, &["sleep", "100"]), &output);
    let mut second = with_command(spec(&bundle, &[]), "sleep 1000 & echo up; exit 4");
    joining(&mut second, Type::Pid, &format!("/proc/{}/ns/pid", first.pid().as_raw_nonzero()));
    let heard = Output::new();
    let mut container = start(&bundle, &second, &heard);
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(4));
    until_empty(&container);
    container.delete().expect("deleted");
    assert!(first.status() == sandbox_container::Status::Running, "its host lives on");
    first.delete().expect("deleted");
}

fn the_hosts_names_and_ipc() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    spec.set_hostname(None);
    for kind in [Type::Uts, Type::Ipc, Type::Cgroup] {
        without(&mut spec, kind);
    }
    let text =
        script(&bundle, &mut spec, "for n in uts ipc cgroup; do readlink /proc/self/ns/$n; done; hostname");
    for name in ["uts", "ipc", "cgroup"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a link");
        assert!(text.contains(own.to_str().expect("text")), "{name}: {text}");
    }
    assert!(!text.contains("box"), "{text}");
}

/// The /dev/shm of `container` on a directory, with what is done with it there.
fn attached(container: &Container, at: &Path, use_it: impl FnOnce(&Path)) {
    let mount = shared_memory(container.pidfd()).expect("its memory");
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount.as_fd(), "", rustix::fs::CWD, at, flags).expect("attached");
    use_it(at);
    rustix::mount::unmount(at, UnmountFlags::DETACH).expect("unmounted");
}

fn memory() {
    let bundle = Bundle::new();
    let output = Output::new();
    let text = "echo theirs > /dev/shm/word; echo up; while ! [ -e /dev/shm/ours ]; do sleep 0.01; done; cat /dev/shm/ours";
    let mut first = start(&bundle, &with_command(spec(&bundle, &[]), text), &output);
    output.wait_for("up");
    let place = tempfile::tempdir().expect("a directory");
    attached(&first, place.path(), |at| {
        assert_eq!(std::fs::read_to_string(at.join("word")).expect("read"), "theirs\n");
        let other = Bundle::new();
        let mut second = spec(&other, &[]);
        joining(&mut second, Type::Ipc, &format!("/proc/{}/ns/ipc", first.pid().as_raw_nonzero()));
        let mut mounts = second.mounts().clone().unwrap_or_default();
        mounts.retain(|mount| mount.destination() != Path::new("/dev/shm"));
        let mut bind = Mount::default();
        bind.set_destination("/dev/shm".into())
            .set_typ(Some("bind".to_owned()))
            .set_source(Some(at.to_owned()));
        bind.set_options(Some(strings(&["rbind", "rprivate"])));
        mounts.push(bind);
        second.set_mounts(Some(mounts));
        let text = script(
            &other,
            &mut second,
            "cat /dev/shm/word; grep /dev/shm /proc/mounts; echo ours > /dev/shm/ours",
        );
        assert!(text.starts_with("theirs\n"), "{text}");
        assert!(text.contains("nosuid,nodev,noexec"), "what it may not do comes along: {text}");
    });
    assert_eq!(first.wait().expect("waited"), ExitStatus::Code(0));
    assert!(shared_memory(first.pidfd()).is_err(), "it has ended");
    first.delete().expect("deleted");
    assert!(output.text().ends_with("ours\n"));
}

/// A link and an ordinary directory in its place are no way to the host, nor to the image.
fn memory_that_is_none() {
    let bundle = Bundle::new();
    for (change, words) in [
        ("umount /dev/shm; rmdir /dev/shm; ln -s /tmp /dev/shm", "open /dev/shm of the container: "),
        (
            "umount /dev/shm; rmdir /dev/shm; ln -s /proc/1/root/dev/shm /dev/shm",
            "open /dev/shm of the container: ",
        ),
        ("mount --bind /root /dev/shm", "is not a tmpfs"),
    ] {
        let mut spec = with_command(spec(&bundle, &[]), &format!("{change}; echo up; sleep 1000"));
        let all = sandbox_container::defaults::all_capabilities();
        edit_process(&mut spec, |process| {
            process.set_capabilities(Some(sandbox_container::defaults::capability_sets(&all, 0)));
        });
        linux(&mut spec, |linux| {
            linux.set_seccomp(None);
        });
        let output = Output::new();
        let container = start(&bundle, &spec, &output);
        output.wait_for("up");
        let error = shared_memory(container.pidfd()).expect_err(change).to_string();
        container.delete().expect("deleted");
        assert!(error.contains(words), "{change}: {error}");
    }
}
