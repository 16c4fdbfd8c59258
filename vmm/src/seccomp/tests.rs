//! What the filters let through and what they do not, and that a forbidden call ends the process.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};

use super::*;

const ALL: [Filter; 9] = [
    Filter::Thread(ThreadKind::Vcpu),
    Filter::Thread(ThreadKind::Fs),
    Filter::Thread(ThreadKind::Vsock),
    Filter::Thread(ThreadKind::Net),
    Filter::Thread(ThreadKind::Block),
    Filter::Thread(ThreadKind::Rng),
    Filter::Thread(ThreadKind::Balloon),
    Filter::DeviceStarter,
    Filter::Control,
];

fn calls(filter: Filter) -> BTreeSet<i64> {
    tables(filter).into_iter().flatten().map(|rule| rule.call()).collect()
}

/// Runs `act` in a child process under `filter`; returns its wait status and what it wrote to stderr.
fn confined(filter: Filter, act: fn()) -> (i32, String) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child only makes system calls and allocates; the test harness holds no lock that it needs.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: redirects the child's own stderr.
        unsafe { libc::dup2(writer.as_raw_fd(), 2) };
        rustix::param::page_size();
        enter(filter);
        act();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) };
    }
    assert!(pid > 0);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    (status, text)
}

fn call(number: i64, arguments: [i64; 3]) -> i64 {
    // SAFETY: used by the tests below with arguments that touch no memory.
    unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2]) }
}

#[test]
fn all_filters_compile_and_allow_no_execution_and_no_new_file() {
    for filter in ALL {
        assert!(compile(filter).len() < 4096);
        let calls = calls(filter);
        for forbidden in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_open,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_kill,
        ] {
            assert!(!calls.contains(&forbidden), "{filter:?} allows system call {forbidden}");
        }
        let opens_files = matches!(filter, Filter::DeviceStarter | Filter::Thread(ThreadKind::Fs));
        assert_eq!(calls.contains(&libc::SYS_openat2), opens_files, "{filter:?}");
    }
}

#[test]
fn no_rule_is_written_twice() {
    for filter in ALL.into_iter().filter(|filter| *filter != Filter::DeviceStarter) {
        let mut seen = BTreeSet::new();
        for rule in tables(filter).into_iter().flatten() {
            assert!(seen.insert(format!("{rule:?}")), "{filter:?} has {rule:?} twice");
        }
    }
}

#[test]
fn a_thread_lives_with_the_calls_of_its_table() {
    for filter in ALL {
        let (status, text) = confined(filter, || {
            let bytes = vec![1_u8; 1 << 20];
            assert_eq!(bytes.iter().map(|b| u64::from(*b)).sum::<u64>(), 1 << 20);
            let lock = std::sync::Mutex::new(());
            drop(lock.lock());
            call(libc::SYS_getpid, [0; 3]);
        });
        assert_eq!((status, text.as_str()), (0, ""), "{filter:?}");
    }
}

#[test]
fn a_forbidden_call_ends_the_process_and_says_which() {
    let (status, text) = confined(Filter::Thread(ThreadKind::Vcpu), || {
        call(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0]);
    });
    assert_eq!(libc::WEXITSTATUS(status), 159);
    assert_eq!(text, format!("sandbox-vmm: forbidden system call {} in a vcpu thread\n", libc::SYS_socket));
}

#[test]
fn conditions_on_arguments_hold() {
    let exit = |act: fn()| {
        let (status, _) = confined(Filter::Thread(ThreadKind::Vsock), act);
        libc::WEXITSTATUS(status)
    };
    let unix = || {
        // SAFETY: a new descriptor that nobody else owns.
        drop(unsafe { std::fs::File::from_raw_fd(call(libc::SYS_socket, [1, 1, 0]) as i32) });
    };
    assert_eq!(exit(unix), 0);
    assert_eq!(
        exit(|| {
            call(libc::SYS_socket, [2, 1, 0]);
        }),
        159,
        "internet sockets are not for vsock"
    );
    // PROT_EXEC.
    assert_eq!(
        exit(|| {
            call(libc::SYS_mprotect, [0, 0, 3]);
        }),
        0
    );
    assert_eq!(
        exit(|| {
            call(libc::SYS_mprotect, [0, 0, 7]);
        }),
        159
    );
    let vcpu = |act: fn()| libc::WEXITSTATUS(confined(Filter::Thread(ThreadKind::Vcpu), act).0);
    assert_eq!(
        vcpu(|| {
            call(libc::SYS_ioctl, [-1, 0xae80, 0]);
        }),
        0
    );
    assert_eq!(
        vcpu(|| {
            call(libc::SYS_ioctl, [-1, 0xae01, 0]);
        }),
        159,
        "KVM_CREATE_VM"
    );
}
