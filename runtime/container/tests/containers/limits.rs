//! Limits that are kept, where the controllers are there; clear errors where they are not.

use oci_spec::runtime::{LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, Spec};
use sandbox_container::{
    CreateOptions, Error, ExitStatus, available_controllers, cgroup_mount_point, create,
};

use crate::Test;
use crate::support::{Bundle, Output, linux, options, run, spec, start, unique};

pub(crate) const TESTS: &[Test] = &[
    ("limits::memory", memory),
    ("limits::pids", pids),
    ("limits::cpu", cpu),
    ("limits::twenty_at_once", twenty_at_once),
    ("limits::where_pivot_root_cannot_be", where_pivot_root_cannot_be),
    ("limits::in_a_chroot", in_a_chroot),
];

fn has(controller: &str) -> bool {
    available_controllers(&cgroup_mount_point().expect("a mount")).iter().any(|name| name == controller)
}

fn with_limits(bundle: &Bundle, args: &[&str], change: impl FnOnce(&mut LinuxResources)) -> Spec {
    let mut spec = spec(bundle, args);
    linux(&mut spec, |linux| {
        let mut resources = linux.resources().clone().unwrap_or_default();
        change(&mut resources);
        linux.set_resources(Some(resources));
    });
    spec
}

/// Without the controller, the error that says so.
fn refused_without(controller: &str, bundle: &Bundle, spec: &Spec) -> bool {
    if has(controller) {
        return false;
    }
    let id = unique();
    match create(options(&id, spec, bundle)).expect_err("a limit that cannot be kept") {
        Error::Controller { controller: named, .. } => assert_eq!(named, controller),
        error => panic!("{error}"),
    }
    assert!(!crate::support::cgroups().join(&id).exists());
    true
}

fn memory() {
    let bundle = Bundle::new();
    let limit =
        |memory: i64| LinuxMemoryBuilder::default().limit(memory).swap(memory).build().expect("memory");
    // The shell's variable grows beyond the limit.
    let eat = "a=aaaaaaaaaaaaaaaa; while :; do a=$a$a; done";
    let spec = with_limits(&bundle, &["sh", "-c", eat], |resources| {
        resources.set_memory(Some(limit(64 << 20)));
    });
    if refused_without("memory", &bundle, &spec) {
        return;
    }
    let output = Output::new();
    let mut container = start(&bundle, &spec, &output);
    assert_eq!(container.wait().expect("waited"), ExitStatus::Signal(9));
    assert!(container.oom_killed());
    assert_eq!(container.stats().expect("stats").memory_limit, Some(64 << 20));
    container.delete().expect("deleted");
    let tiny = with_limits(&bundle, &["true"], |resources| {
        resources.set_memory(Some(limit(4096)));
    });
    let error = run(&bundle, &tiny).expect_err("too small to start");
    assert_eq!(error.exit_code(), 125);
    assert!(error.to_string().contains("memory limit"), "{error}");
}

fn pids() {
    let bundle = Bundle::new();
    let spec = with_limits(
        &bundle,
        &["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all"],
        |resources| {
            resources.set_pids(Some(LinuxPidsBuilder::default().limit(5).build().expect("pids")));
        },
    );
    if refused_without("pids", &bundle, &spec) {
        return;
    }
    let (status, text) = run(&bundle, &spec).expect("it runs");
    assert_ne!(status, ExitStatus::Code(0), "{text}");
    assert!(text.contains("can't fork"), "{text}");
}

fn cpu() {
    let bundle = Bundle::new();
    let spec = with_limits(
        &bundle,
        &["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"],
        |resources| {
            let cpu = LinuxCpuBuilder::default().quota(10_000i64).period(100_000u64).shares(512u64).build();
            resources.set_cpu(Some(cpu.expect("cpu")));
        },
    );
    if refused_without("cpu", &bundle, &spec) {
        return;
    }
    let output = Output::new();
    let mut container = start(&bundle, &spec, &output);
    let path = container.cgroup().expect("a cgroup").to_owned();
    assert_eq!(std::fs::read_to_string(path.join("cpu.max")).expect("read").trim(), "10000 100000");
    assert_eq!(std::fs::read_to_string(path.join("cpu.weight")).expect("read").trim(), "59");
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(0));
    assert!(container.stats().expect("stats").cpu_throttled_periods.is_some_and(|periods| periods > 0));
    container.delete().expect("deleted");
}

fn twenty_at_once() {
    let bundle = Bundle::new();
    let spec = spec(&bundle, &["sh", "-c", "sleep 0.2; exit 4"]);
    let ids: Vec<String> = (0..20).map(|_| unique()).collect();
    let mut containers: Vec<_> = ids
        .iter()
        .map(|id| {
            let output = Output::new();
            let mut container =
                create(CreateOptions { stdio: output.stdio(), ..options(id, &spec, &bundle) })
                    .expect("created");
            container.start().expect("started");
            container
        })
        .collect();
    for container in &mut containers {
        assert_eq!(container.wait().expect("waited"), ExitStatus::Code(4));
    }
    for container in containers {
        container.delete().expect("deleted");
    }
    assert!(ids.iter().all(|id| !crate::support::cgroups().join(id).exists()));
}

/// Without pivot_root: what the container and who joins it see is the same, and nothing of the host.
fn check_without_pivot(bundle: &Bundle, no_pivot: bool) {
    let output = Output::new();
    let spec =
        spec(bundle, &["sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo; ls /; echo listed; sleep 100"]);
    let id = unique();
    let mut container =
        create(CreateOptions { no_pivot, stdio: output.stdio(), ..options(&id, &spec, bundle) })
            .expect("created");
    container.start().expect("started");
    output.wait_for("listed");
    let inside = Output::new();
    let shell =
        crate::support::process(&["sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo; ls /; echo listed"]);
    let process = container.exec(&shell, inside.stdio()).expect("exec");
    assert_eq!(process.wait().expect("waited"), ExitStatus::Code(0));
    container.delete().expect("deleted");
    let (first, second) = (output.text(), inside.text());
    assert_eq!(first, second);
    let directories = "bin\ndev\netc\nproc\nroot\nsys\ntmp\nlisted\n";
    assert!(first.ends_with(directories) && first.starts_with("/\n/proc\n/dev\n"), "{first}");
}

fn where_pivot_root_cannot_be() {
    check_without_pivot(&Bundle::new(), true);
}

fn in_a_chroot() {
    use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};
    let bundle = Bundle::new();
    let jail = tempfile::tempdir().expect("dir");
    let supervisor = crate::lifecycle::in_a_supervisor(|| {
        // SAFETY: this child has one thread and shares no descriptors.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.expect("unshared");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private");
        mount_bind_recursive("/", jail.path()).expect("bound");
        rustix::process::chroot(jail.path()).expect("chroot");
        rustix::process::chdir("/").expect("chdir");
        check_without_pivot(&bundle, false);
    });
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("killed");
    rustix::process::waitpid(Some(supervisor), rustix::process::WaitOptions::empty()).expect("waited");
}
