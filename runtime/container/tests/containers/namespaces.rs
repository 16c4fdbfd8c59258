//! Namespaces: new, joined by path, user namespaces with their mappings, time.

use oci_spec::runtime::{
    LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespaceBuilder, LinuxNamespaceType as Type,
    LinuxTimeOffsetBuilder, Spec,
};
use sandbox_container::{ExitStatus, Stdio};

use crate::Test;
use crate::support::{Bundle, Output, linux, namespace, process, run, script, spec, start};

pub(crate) const TESTS: &[Test] = &[
    ("namespaces::a_user_namespace", a_user_namespace),
    ("namespaces::joined_by_path", joined_by_path),
    ("namespaces::a_joined_user_namespace", a_joined_user_namespace),
    ("namespaces::the_hosts_network", the_hosts_network),
    ("namespaces::time_offsets", time_offsets),
    ("namespaces::sysctls", sysctls),
    ("namespaces::we_stay_where_we_are", we_stay_where_we_are),
];

fn mapping(host: u32) -> Vec<LinuxIdMapping> {
    vec![
        LinuxIdMappingBuilder::default()
            .container_id(0u32)
            .host_id(host)
            .size(65536u32)
            .build()
            .expect("a mapping"),
    ]
}

fn with_user_namespace(bundle: &Bundle) -> Spec {
    let mut spec = spec(bundle, &[]);
    linux(&mut spec, |linux| {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.push(namespace(Type::User));
        linux.set_namespaces(Some(namespaces));
        linux.set_uid_mappings(Some(mapping(100_000))).set_gid_mappings(Some(mapping(200_000)));
    });
    for path in [bundle.path().to_owned(), bundle.root()] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).expect("chmod");
    }
    spec
}

fn a_user_namespace() {
    let bundle = Bundle::new();
    let mut spec = with_user_namespace(&bundle);
    let text = script(
        &bundle,
        &mut spec,
        "id -u; cat /proc/self/uid_map /proc/self/gid_map; head -c 4 /dev/zero | wc -c; echo >/dev/null && echo null; \
         touch /dev/shm/mine; stat -c %u /dev/shm/mine; mount | grep -c masked; hostname; stat -c %u /bin",
    );
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[..7], ["0", "0", "100000", "65536", "0", "200000", "65536"], "{text}");
    assert_eq!(words[7..], ["4", "null", "0", "0", "box", "65534"], "{text}");

    let output = Output::new();
    let mut edited = spec.clone();
    crate::support::edit_process(&mut edited, |process| {
        process.set_args(Some(crate::support::strings(&["sleep", "100"])));
    });
    let container = start(&bundle, &edited, &output);
    let inside = Output::new();
    let process = container.exec(&process(&["cat", "/proc/self/uid_map"]), inside.stdio()).expect("exec");
    assert_eq!(process.wait().expect("waited"), ExitStatus::Code(0));
    assert!(inside.text().contains("100000"));
    container.delete().expect("deleted");
}

fn joining(spec: &mut Spec, kind: Type, path: &str) {
    linux(spec, |linux| {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.retain(|namespace| namespace.typ() != kind);
        namespaces.push(LinuxNamespaceBuilder::default().typ(kind).path(path).build().expect("a namespace"));
        linux.set_namespaces(Some(namespaces));
    });
}

fn joined_by_path() {
    let bundle = Bundle::new();
    let output = Output::new();
    let first = start(&bundle, &spec(&bundle, &["sleep", "100"]), &output);
    let pid = first.pid().as_raw_nonzero();
    let mut second = spec(&bundle, &[]);
    second.set_hostname(None);
    for (kind, name) in [(Type::Pid, "pid"), (Type::Network, "net"), (Type::Ipc, "ipc"), (Type::Uts, "uts")] {
        joining(&mut second, kind, &format!("/proc/{pid}/ns/{name}"));
    }
    let text = script(
        &bundle,
        &mut second,
        "ps | grep -v grep; hostname; for n in net ipc uts pid; do readlink /proc/self/ns/$n; done",
    );
    assert!(text.contains("1 root     sleep 100") && text.contains("\nbox\n"), "{text}");
    for name in ["net", "ipc", "uts", "pid"] {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a link");
        assert!(text.contains(theirs.to_str().expect("text")), "{name} is another one: {text}");
    }
    first.delete().expect("deleted");
}

fn a_joined_user_namespace() {
    let bundle = Bundle::new();
    let mut first_spec = with_user_namespace(&bundle);
    crate::support::edit_process(&mut first_spec, |process| {
        process.set_args(Some(crate::support::strings(&["sleep", "100"])));
    });
    let output = Output::new();
    let first = start(&bundle, &first_spec, &output);
    let pid = first.pid().as_raw_nonzero();
    let mut second = spec(&bundle, &[]);
    joining(&mut second, Type::User, &format!("/proc/{pid}/ns/user"));
    let text =
        script(&bundle, &mut second, "id -u; cat /proc/self/uid_map; echo $$; readlink /proc/self/ns/user");
    let theirs = std::fs::read_link(format!("/proc/{pid}/ns/user")).expect("a link");
    assert!(text.contains("100000") && text.contains("\n1\n"), "{text}");
    assert!(text.contains(theirs.to_str().expect("text")), "{text}");
    first.delete().expect("deleted");
}

fn the_hosts_network() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    linux(&mut spec, |linux| {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.retain(|namespace| namespace.typ() != Type::Network);
        linux.set_namespaces(Some(namespaces));
    });
    let text = script(&bundle, &mut spec, "readlink /proc/self/ns/net");
    assert_eq!(text.trim(), std::fs::read_link("/proc/self/ns/net").expect("a link").to_str().expect("text"));
}

fn time_offsets() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    linux(&mut spec, |linux| {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.push(namespace(Type::Time));
        linux.set_namespaces(Some(namespaces));
        let offset = LinuxTimeOffsetBuilder::default().secs(1_000_000i64).build().expect("an offset");
        linux.set_time_offsets(Some([("boottime".to_owned(), offset)].into_iter().collect()));
    });
    let text = script(&bundle, &mut spec, "cat /proc/uptime");
    let uptime: f64 = text.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(uptime > 1_000_000.0, "{text}");
}

fn sysctls() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let set = |spec: &mut Spec, name: &str, value: &str| {
        linux(spec, |linux| {
            linux.set_sysctl(Some([(name.to_owned(), value.to_owned())].into_iter().collect()));
        });
    };
    set(&mut spec, "net.ipv4.ip_forward", "1");
    let before = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("read");
    assert_eq!(script(&bundle, &mut spec, "cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    set(&mut spec, "kernel.shmmax", "65536");
    assert_eq!(script(&bundle, &mut spec, "cat /proc/sys/kernel/shmmax"), "65536\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("read"), before);
    set(&mut spec, "kernel.panic", "1");
    let error = run(&bundle, &spec).expect_err("the host's").to_string();
    assert!(error.contains("would change the host"), "{error}");
    set(&mut spec, "net.no_such_thing", "1");
    let error = run(&bundle, &spec).expect_err("no such sysctl").to_string();
    assert_eq!(error, "set sysctl net.no_such_thing to \"1\": no such file or directory");
}

/// Entering PID and time namespaces for the child must not leave the parent's next children there.
fn we_stay_where_we_are() {
    let own = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a link");
    for name in ["pid", "time"] {
        assert_eq!(own(name), own(&format!("{name}_for_children")));
    }
    let bundle = Bundle::new();
    let output = Output::new();
    let container = start(&bundle, &spec(&bundle, &["sleep", "100"]), &output);
    let error = container.exec(&process(&["/nope"]), Stdio::Inherit).expect_err("not there");
    assert_eq!(error.exit_code(), 127);
    container.delete().expect("deleted");
    assert_eq!(own("pid"), own("pid_for_children"));
}
