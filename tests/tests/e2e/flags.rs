//! Flags of `run` that choose namespaces, devices and limits: they work in both isolations, or the one that cannot says why.

use std::path::Path;
use std::time::{Duration, Instant};

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{Output, Sandbox};

/// Emulation is slow; a pass takes a fraction of this.
const LIMIT: Duration = Duration::from_mins(3);

/// A container that runs in the background, removed at its end.
struct Container(String);

impl Container {
    fn started(isolation: Isolation, name: &str, flags: &[&str], command: &[&str]) -> Self {
        let container = Self(format!("{name}-{}", isolation.name()));
        let fixed = ["run", "-d", "--isolation", isolation.name(), "--name", &container.0];
        sandbox(&[&fixed, flags, &["alpine"], command].concat()).expect_code(0);
        container
    }

    fn exec(&self, command: &[&str]) -> Output {
        sandbox(&[&["exec", self.0.as_str()], command].concat())
    }

    /// Waits until a command in it succeeds.
    fn until(&self, command: &[&str]) {
        let end = Instant::now() + LIMIT;
        while self.exec(command).code != 0 {
            assert!(Instant::now() < end, "{command:?} does not come true");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        sandbox(&["rm", "-f", "-v", &self.0]);
    }
}

fn sandbox(arguments: &[&str]) -> Output {
    Sandbox::shared().sandbox(arguments)
}

fn shell(isolation: Isolation, flags: &[&str], script: &str) -> Output {
    Sandbox::shared().run(isolation, [flags, &["alpine", "sh", "-c", script]].concat())
}

/// What a VM refuses it refuses before it boots.
#[rstest]
#[case(&["--pid", "host"], "--pid: a VM has a kernel and processes of its own")]
#[case(&["--pid", "container:x"], "--pid: a VM has")]
#[case(&["--ipc", "host"], "--ipc: a VM has a kernel and shared memory of its own")]
#[case(&["--ipc", "container:x"], "--ipc: a VM has")]
#[case(&["--uts", "host"], "--uts: a VM has")]
#[case(&["--cgroupns", "host"], "--cgroupns: a VM has")]
#[case(&["--device", "/dev/sda"], "--device /dev/sda: a device of the host cannot be in a VM")]
#[case(&["--device", "/dev/kvm"], "--device /dev/kvm: the guest's kernel is built without KVM")]
fn a_vm_shares_nothing_of_the_host(#[case] flags: &[&str], #[case] want: &str) {
    let out = Sandbox::shared().run(Vm, [flags, &["alpine", "true"]].concat()).expect_code(125);
    assert!(out.stderr.contains(want), "{}", out.stderr);
}

#[rstest]
#[case(&["--pid=x"], "--pid: invalid PID mode")]
#[case(&["--ipc=x"], "invalid IPC mode: x")]
#[case(&["--uts=x"], "--uts: invalid UTS mode")]
#[case(&["--cgroupns=x"], "--cgroupns: invalid CGROUP mode")]
#[case(&["--userns=x"], "--userns: invalid USER mode")]
#[case(&["--volumes-from=nobody-here"], "No such container: nobody-here")]
#[case(&["--volumes-from=x:y"], "invalid mode for volumes-from: y")]
#[case(&["--expose=x"], "invalid range format for --expose: x")]
#[case(&["--device-cgroup-rule=x"], "invalid device cgroup format 'x'")]
#[case(&["--device-read-bps=/dev/null"], "bad format: /dev/null")]
#[case(&["--blkio-weight=5"], "Range of blkio weight is from 10 to 1000")]
#[case(&["--cpus=1", "--cpu-quota=1000"], "Conflicting options: Nano CPUs and CPU Quota cannot both be set")]
#[case(&["--storage-opt=size=1g"], "--storage-opt is supported only for overlay over xfs with 'pquota' mount option")]
#[case(&["--kernel-memory=1g"], "--kernel-memory: ")]
#[case(&["--gpus=all"], "could not select device driver")]
#[case(&["--link=db"], "--link: ")]
#[case(&["--runtime=x"], "unknown or invalid runtime name: x")]
#[case(&["--replace"], "cannot replace container without --name being set")]
fn wrong_values_are_named(
    #[values(Process, Vm)] isolation: Isolation,
    #[case] flags: &[&str],
    #[case] want: &str,
) {
    let out = Sandbox::shared().run(isolation, [flags, &["alpine", "true"]].concat()).expect_code(125);
    assert!(out.stderr.contains(want), "{}", out.stderr);
}

/// Many flags in one container: each boot of a VM costs seconds here.
#[rstest]
fn limits_devices_and_namespaces_of_ones_own(#[values(Process, Vm)] isolation: Isolation) {
    let flags = [
        "--pid=private",
        "--ipc=none",
        "--uts=private",
        "--cgroupns=private",
        "--userns=host",
        "--cpu-period=50000",
        "--cpu-quota=25000",
        "--device=/dev/zero:/dev/nothing:r",
        "--device-cgroup-rule=c 1:11 w",
        "--cgroup-parent=/sandbox-e2e-flags",
        "--oom-score-adj=500",
        "--sysctl=net.ipv4.ip_forward=1",
        "--memory-swappiness=10",
        "--oom-kill-disable",
        "--security-opt=label=type:x",
        "--expose=80",
        "--volume-driver=local",
    ];
    let script = "echo $$; cat /sys/fs/cgroup/cpu.max; [ ! -e /dev/shm ] && head -c 3 /dev/nothing | wc -c; \
                  mknod /dev/log-of-the-kernel c 1 11 && : > /dev/log-of-the-kernel && echo opened; \
                  cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward";
    let out = shell(isolation, &flags, script).expect_code(0);
    assert_eq!(out.stdout, "1\n25000 50000\n3\nopened\n500\n1\n", "{}", out.stderr);
    assert!(out.stderr.contains("WARNING: Your kernel does not support memory swappiness"), "{}", out.stderr);
    assert!(out.stderr.contains("WARNING: Your kernel does not support OomKillDisable"), "{}", out.stderr);
    // A parent that somebody named is not taken away with the container.
    let tree = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .find(|tree| Path::new(tree).join("cgroup.procs").exists());
    std::fs::remove_dir(Path::new(tree.unwrap()).join("sandbox-e2e-flags")).unwrap();
}

#[rstest]
fn a_vm_has_the_devices_of_its_own_kernel() {
    let flags = ["--device=/dev/fuse", "--device=/dev/net/tun", "--device=/dev/loop-control:r"];
    let script = "for d in fuse net/tun loop-control; do : < /dev/$d && echo $d; done";
    assert_eq!(shell(Vm, &flags, script).expect_code(0).stdout, "fuse\nnet/tun\nloop-control\n");
}

#[rstest]
fn a_sysctl_of_the_whole_kernel_is_a_vms_own() {
    let flags = ["--sysctl", "vm.max_map_count=70000"];
    let out = shell(Vm, &flags, "cat /proc/sys/vm/max_map_count").expect_code(0);
    assert_eq!(out.stdout, "70000\n");
    let out = shell(Process, &flags, "true").expect_code(125);
    assert!(
        out.stderr.contains("sysctl 'vm.max_map_count' is not allowed: it is the host's"),
        "{}",
        out.stderr
    );
}

#[rstest]
fn the_hosts_namespaces() {
    let flags = ["--pid=host", "--ipc=host", "--uts=host", "--cgroupns=host"];
    let script =
        "for n in pid ipc uts cgroup mnt; do readlink /proc/self/ns/$n; done; hostname; sleep 1000 & exit 3";
    let begun = Instant::now();
    let out = shell(Process, &flags, script).expect_code(3);
    assert!(begun.elapsed() < LIMIT, "what it left among the host's processes held it up");
    let mut lines = out.stdout.lines();
    for name in ["pid", "ipc", "uts", "cgroup"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_eq!(lines.next(), own.to_str(), "{name}");
    }
    assert_ne!(lines.next(), std::fs::read_link("/proc/self/ns/mnt").unwrap().to_str());
    assert_eq!(lines.next(), Some(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim()));
    let out = shell(Process, &["--uts=host", "-h", "x"], "true").expect_code(125);
    assert!(out.stderr.contains("conflicting options: hostname and the UTS mode"), "{}", out.stderr);
}

#[rstest]
fn namespaces_of_another_container() {
    let lender = Container::started(Process, "lender", &["--init", "--ipc=shareable"], &["sleep", "1000"]);
    let joins = [format!("--pid=container:{}", lender.0), format!("--ipc=container:{}", lender.0)];
    let joins = [joins[0].as_str(), joins[1].as_str()];
    let out = shell(Process, &joins, "cat /proc/1/comm; echo word > /dev/shm/x; sleep 1000 & exit 4")
        .expect_code(4);
    assert_eq!(out.stdout, "sandbox-init\n");
    assert_eq!(lender.exec(&["cat", "/dev/shm/x"]).expect_code(0).stdout, "word\n");
    let others = "[ $(grep -l '^sleep' /proc/[0-9]*/comm | wc -l) = 1 ]";
    lender.until(&["sh", "-c", others]);

    let private = Container::started(Process, "miser", &[], &["true"]);
    let out = shell(Process, &[&format!("--ipc=container:{}", private.0)], "true").expect_code(125);
    assert!(out.stderr.contains("non-shareable IPC"), "{}", out.stderr);
    sandbox(&["stop", "-t", "0", &lender.0]).expect_code(0);
    let out = shell(Process, &joins[..1], "true").expect_code(125);
    assert!(out.stderr.contains("cannot join PID of a non running container: "), "{}", out.stderr);
}

#[rstest]
fn volumes_of_another_container(#[values(Process, Vm)] isolation: Isolation) {
    let donor =
        Container::started(isolation, "donor", &["-v", "/data"], &["sh", "-c", "echo word > /data/x"]);
    sandbox(&["wait", &donor.0]);
    let script = "cat /data/x; touch /data/y && echo written";
    let out = shell(isolation, &["--volumes-from", &donor.0], script).expect_code(0);
    assert_eq!(out.stdout, "word\nwritten\n");
    let out = shell(isolation, &["--volumes-from", &format!("{}:ro", donor.0)], script).expect_code(1);
    assert_eq!(out.stdout, "word\n", "the volume outlived the --rm of another user");
}

#[rstest]
fn a_container_is_replaced_by_its_name(#[values(Process, Vm)] isolation: Isolation) {
    let old = Container::started(isolation, "replaced", &[], &["sleep", "1000"]);
    let flags = ["--replace", "--name", &old.0];
    assert_eq!(shell(isolation, &flags, "echo new").expect_code(0).stdout, "new\n");
    let out = sandbox(&["start", &old.0]);
    assert!(out.stderr.contains("No such container"), "{out:?}");
}

#[rstest]
fn a_stop_that_waits_for_ever() {
    let script = "trap 'sleep 12; exit 6' TERM; echo up > /up; while :; do sleep 0.1; done";
    let patient = Container::started(Process, "patient", &["--stop-timeout", "-1"], &["sh", "-c", script]);
    patient.until(&["test", "-e", "/up"]);
    sandbox(&["stop", &patient.0]).expect_code(0);
    assert_eq!(sandbox(&["wait", &patient.0]).stdout, "6\n");
}
