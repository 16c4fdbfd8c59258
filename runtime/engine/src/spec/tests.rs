use super::*;
use crate::parse::{mount::Mount as Wanted, mount::Source, tmpfs, volume};

fn image() -> Defaults {
    Defaults {
        id: "sha256:0".to_owned(),
        command: vec!["/bin/sh".to_owned()],
        env: vec!["PATH=/bin".to_owned()],
        ..Defaults::default()
    }
}

fn built(request: &Request, mounts: &[Resolved]) -> Spec {
    let files = Files::of(Path::new("/c"));
    let id = "0123456789abcdef";
    let shared_memory = Path::new("/run/x/shm");
    build(&Input { id, request, image: &image(), mounts, files: &files, shared_memory }).unwrap()
}

fn resolved(mount: Wanted) -> Resolved {
    let host_path = match &mount.source {
        Source::Bind { path, .. } => Some(path.into()),
        Source::Volume { .. } => Some("/v/_data".into()),
        Source::Tmpfs { .. } => None,
    };
    Resolved { mount, host_path }
}

fn lines(spec: &Spec) -> Vec<String> {
    let line = |m: &oci_spec::runtime::Mount| {
        format!(
            "{} {} {} {}",
            m.destination().display(),
            m.typ().as_deref().unwrap_or("-"),
            m.source().as_ref().map_or(String::new(), |s| s.display().to_string()),
            m.options().as_ref().map_or(String::new(), |o| o.join(","))
        )
    };
    spec.mounts().iter().flatten().map(line).collect()
}

#[test]
fn a_plain_container() {
    let spec = built(&Request::default(), &[]);
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.args().as_deref(), Some(&["/bin/sh".to_owned()][..]));
    assert_eq!(
        process.env().as_deref(),
        Some(&["PATH=/bin".to_owned(), "HOSTNAME=0123456789ab".to_owned()][..])
    );
    assert_eq!(process.cwd(), Path::new("/"));
    assert_eq!(process.terminal(), Some(false));
    assert_eq!(spec.hostname().as_deref(), Some("0123456789ab"));
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.namespaces().as_ref().unwrap().len(), 6);
    assert!(linux.seccomp().is_some());
    assert!(linux.masked_paths().as_ref().unwrap().iter().any(|p| p == "/proc/kcore"));
    assert!(linux.readonly_paths().as_ref().unwrap().iter().any(|p| p == "/proc/sys"));
    assert_eq!(
        lines(&spec),
        [
            "/proc proc proc nosuid,noexec,nodev",
            "/dev tmpfs tmpfs nosuid,strictatime,mode=755,size=65536k",
            "/dev/pts devpts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
            "/sys sysfs sysfs nosuid,noexec,nodev,ro",
            "/sys/fs/cgroup cgroup cgroup ro,nosuid,noexec,nodev",
            "/dev/mqueue mqueue mqueue nosuid,noexec,nodev",
            "/dev/shm tmpfs shm nosuid,noexec,nodev,mode=1777,size=67108864",
            "/etc/resolv.conf bind /c/resolv.conf rbind,rprivate",
            "/etc/hostname bind /c/hostname rbind,rprivate",
            "/etc/hosts bind /c/hosts rbind,rprivate",
        ]
    );
}

#[test]
fn privileged() {
    let mut request = Request { isolation: Isolation::Vm, ..Request::default() };
    request.privileges.privileged = true;
    let spec = built(&request, &[]);
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.seccomp().is_none());
    assert!(linux.masked_paths().as_ref().unwrap().is_empty());
    assert!(lines(&spec).contains(&"/sys sysfs sysfs nosuid,noexec,nodev,rw".to_owned()));
}

#[test]
fn user_mounts_take_the_place_of_standard_ones() {
    let cwd = Path::new("/");
    let mounts = [
        resolved(volume::parse("/a:/x/y:ro", cwd).unwrap()),
        resolved(volume::parse("data:/x", cwd).unwrap()),
        resolved(tmpfs::parse("/dev/shm:size=1m,exec").unwrap()),
        resolved(volume::parse("/h:/etc/hosts", cwd).unwrap()),
    ];
    let all = lines(&built(&Request::default(), &mounts));
    assert!(!all.iter().any(|l| l.contains("/c/hosts") || l.contains("67108864")));
    assert_eq!(
        all[all.len() - 4..],
        [
            "/x bind /v/_data rbind,rprivate",
            "/x/y bind /a rbind,rprivate,ro,rro",
            "/dev/shm tmpfs tmpfs nosuid,nodev,size=1m,exec",
            "/etc/hosts bind /h rbind,rprivate",
        ]
    );
}

#[test]
fn read_only_root_covers_the_generated_files() {
    let spec = built(&Request { read_only: true, ..Request::default() }, &[]);
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
    let all = lines(&spec);
    assert!(all.contains(&"/etc/hosts bind /c/hosts rbind,rprivate,ro".to_owned()));
    assert!(all.contains(&"/proc proc proc nosuid,noexec,nodev".to_owned()));
}

#[test]
fn network_host_shares_the_namespace_and_the_name() {
    let spec = built(&Request { network: Network::Host, ..Request::default() }, &[]);
    assert_eq!(spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().len(), 5);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(spec.hostname().as_deref(), Some(host.as_str()));
}

#[test]
fn a_terminal_sets_term() {
    let mut request = Request::default();
    request.process.tty = true;
    let spec = built(&request, &[]);
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.terminal(), Some(true));
    assert!(process.env().as_ref().unwrap().contains(&"TERM=xterm".to_owned()));
}

fn kinds(namespaces: crate::parse::namespace::Namespaces) -> Vec<Namespace> {
    let spec = built(&Request { namespaces, ..Request::default() }, &[]);
    let list = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
    assert!(
        list.iter().all(|namespace| namespace.path().is_none()),
        "joined ones are the supervisor's to add"
    );
    list.iter().map(LinuxNamespace::typ).collect()
}

#[test]
fn namespaces_that_are_not_its_own() {
    let default = Namespaces::default;
    assert_eq!(kinds(default()).len(), 6);
    for pid in [Pid::Host, Pid::Container("x".to_owned())] {
        assert!(!kinds(Namespaces { pid, ..default() }).contains(&Namespace::Pid));
    }
    for ipc in [Ipc::Host, Ipc::Container("x".to_owned())] {
        assert!(!kinds(Namespaces { ipc, ..default() }).contains(&Namespace::Ipc));
    }
    for ipc in [Ipc::Shareable, Ipc::None] {
        assert!(kinds(Namespaces { ipc, ..default() }).contains(&Namespace::Ipc));
    }
    assert!(!kinds(Namespaces { cgroup: Scope::Host, ..default() }).contains(&Namespace::Cgroup));
}

#[test]
fn shared_memory_goes_with_the_ipc_namespace() {
    let shm = |ipc: Ipc, mounts: &[Resolved]| {
        let namespaces = Namespaces { ipc, ..Namespaces::default() };
        let all = lines(&built(&Request { namespaces, ..Request::default() }, mounts));
        all.into_iter().filter(|line| line.starts_with("/dev/shm ")).collect::<Vec<_>>()
    };
    assert_eq!(shm(Ipc::Shareable, &[]), ["/dev/shm tmpfs shm nosuid,noexec,nodev,mode=1777,size=67108864"]);
    assert_eq!(shm(Ipc::Host, &[]), ["/dev/shm bind /dev/shm rbind,rprivate"]);
    assert_eq!(shm(Ipc::Container("x".to_owned()), &[]), ["/dev/shm bind /run/x/shm rbind,rprivate"]);
    assert!(shm(Ipc::None, &[]).is_empty());
    let own = [resolved(volume::parse("/h:/dev/shm", Path::new("/")).unwrap())];
    assert_eq!(shm(Ipc::Container("x".to_owned()), &own), ["/dev/shm bind /h rbind,rprivate"]);
}

#[test]
fn the_hosts_name_stays_the_hosts() {
    let mut request = Request::default();
    request.namespaces.uts = Scope::Host;
    let spec = built(&request, &[]);
    assert_eq!(spec.hostname(), &None);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let env = spec.process().as_ref().unwrap().env().clone().unwrap();
    assert!(env.contains(&format!("HOSTNAME={host}")), "{env:?}");
    assert!(!kinds(request.namespaces).contains(&Namespace::Uts));
}

#[test]
fn limits_on_block_devices_are_not_the_guests() {
    let mut request = Request::default();
    request.limits.block_io.weight = Some(300);
    let weight = |request: &Request| {
        let spec = built(request, &[]);
        let resources = spec.linux().as_ref().unwrap().resources().clone().unwrap();
        resources.block_io().as_ref().and_then(oci_spec::runtime::LinuxBlockIo::weight)
    };
    assert_eq!(weight(&request), Some(300));
    request.isolation = Isolation::Vm;
    assert_eq!(weight(&request), None);
}
