//! The same command prints the same in both isolations.

use rstest::rstest;
use sandbox_tests::Isolation::{Process, Vm};
use sandbox_tests::Sandbox;

fn both(args: &[&str]) -> [String; 2] {
    [Process, Vm].map(|isolation| {
        let mut all = vec!["--hostname", "same", "alpine"];
        all.extend(args);
        Sandbox::shared().run(isolation, all).expect_code(0).stdout
    })
}

#[rstest]
#[case::id(&["id"])]
#[case::processes(&["ps", "-o", "pid,ppid,user,comm"])]
#[case::capabilities(&["sh", "-c", "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status"])]
#[case::cgroup(&["cat", "/proc/self/cgroup"])]
#[case::environment(&["sh", "-c", "env | sort"])]
#[case::limits(&["sh", "-c", "ulimit -a | grep -vE 'processes|pending signals|locked|nofile'"])]
// /dev/core points to /proc/kcore, which the guest's kernel does not have.
#[case::devices(&["sh", "-c", "rm -f /dev/core; ls -lnR /dev | awk '!/^total/{print $1,$3,$4,$5,$6,$NF}' | grep -vE '^(c|d|l)[^ ]+ [0-9]+ [0-9]+ [0-9]+ (Jan|Feb)$'"])]
#[case::hosts(&["sh", "-c", "cat /etc/hosts /etc/hostname"])]
#[case::root_directory(&["sh", "-c", "stat -c '%A %u %g %n' / /* /etc/passwd /tmp /proc/1 /sys/fs/cgroup"])]
#[case::masked(&["sh", "-c", "for f in kcore keys timer_list interrupts; do [ ! -e /proc/$f ] || cat /proc/$f; done | wc -c; ls /sys/firmware | wc -l; (echo x > /proc/sys/kernel/domainname) 2>&1; true"])]
#[case::open_files(&["sh", "-c", "ls /proc/self/fd | wc -l"])]
#[case::signals(&["sh", "-c", "grep -E '^(Sig[PBIC]|Shd)' /proc/self/status"])]
fn prints_the_same(#[case] args: &[&str]) {
    let [process, vm] = both(args);
    assert!(!process.trim().is_empty());
    assert_eq!(process, vm);
}

/// The type and source of what a share backs is the one thing that must differ.
#[test]
fn mounts_are_the_same_save_for_what_backs_a_share() {
    let shared = ["/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
    // Masks of files that only some kernels have.
    let masked = [
        "/proc/acpi",
        "/proc/kcore",
        "/proc/keys",
        "/proc/sysrq-trigger",
        "/proc/scsi",
        "/proc/latency_stats",
    ];
    let table = |text: &str| -> Vec<(String, String)> {
        let lines =
            text.lines().filter(|line| !masked.iter().any(|path| line.contains(&format!(" on {path} "))));
        let rows = lines.map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let (target, kind) = (words[2].to_owned(), words[4].to_owned());
            if shared.contains(&target.as_str()) { (target, "share".to_owned()) } else { (target, kind) }
        });
        rows.collect()
    };
    let [process, vm] = both(&["mount"]);
    assert_eq!(table(&process), table(&vm));
}
