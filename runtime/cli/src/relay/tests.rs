use super::*;
use sandbox_shim::frame::{read_blocking, write_blocking};
use sandbox_shim::wire::{self, Exit};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

/// A relay on pipes of the test's, with the test as the supervisor.
struct Bench {
    stdin: Option<PipeWriter>,
    stdout: Option<PipeReader>,
    stderr: PipeReader,
    supervisor: UnixStream,
    relay: JoinHandle<io::Result<Relayed>>,
}

/// Outputs live as long as their process, so the test's do too.
fn leaked(fd: impl Into<OwnedFd>) -> BorrowedFd<'static> {
    let fd: &'static OwnedFd = Box::leak(Box::new(fd.into()));
    fd.as_fd()
}

fn bench(stdin_wanted: bool, sig_proxy: bool, raise: Option<nix::sys::signal::Signal>) -> Bench {
    let (stdin_read, stdin) = std::io::pipe().unwrap();
    let (stdout, stdout_write) = std::io::pipe().unwrap();
    let (stderr, stderr_write) = std::io::pipe().unwrap();
    let (ours, supervisor) = UnixStream::pair().unwrap();
    let relay = std::thread::spawn(move || {
        let signals = Signals::catch().unwrap();
        if let Some(signal) = raise {
            nix::sys::signal::raise(signal).unwrap();
        }
        let streams =
            Streams { stdin: leaked(stdin_read), stdout: leaked(stdout_write), stderr: leaked(stderr_write) };
        let options = Options {
            stdin: stdin_wanted,
            stdout: true,
            stderr: true,
            tty: false,
            sig_proxy,
            tied: true,
            detach_keys: None,
        };
        run_on(streams, ours, &signals, options)
    });
    Bench { stdin: Some(stdin), stdout: Some(stdout), stderr, supervisor, relay }
}

impl Bench {
    fn exited(mut self, code: u8) -> Relayed {
        let notice =
            serde_json::to_vec(&Notice::Exited(Exit { code, oom_killed: false, error: None })).unwrap();
        write_blocking(&mut self.supervisor, wire::NOTICE, &notice).unwrap();
        drop(self.supervisor);
        self.relay.join().unwrap().unwrap()
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut payload = Vec::new();
        let kind = read_blocking(&mut self.supervisor, &mut payload).unwrap().unwrap();
        (kind, payload)
    }
}

#[test]
fn streams_stay_apart_and_the_code_comes_back() {
    let mut bench = bench(false, true, None);
    assert_eq!(bench.receive(), (wire::STDIN, vec![]), "without -i stdin ends at once");
    write_blocking(&mut bench.supervisor, wire::STDOUT, b"out").unwrap();
    write_blocking(&mut bench.supervisor, wire::STDERR, b"err").unwrap();
    let (mut out, mut err) = ([0; 3], [0; 3]);
    bench.stdout.as_mut().unwrap().read_exact(&mut out).unwrap();
    bench.stderr.read_exact(&mut err).unwrap();
    assert_eq!((&out, &err), (b"out", b"err"));
    let relayed = bench.exited(42);
    assert!(matches!(relayed.outcome, Outcome::Exited(exit) if exit.code == 42));
    assert!(relayed.first_output_ns.is_some() && relayed.ended_by.is_none());
}

#[test]
fn stdin_keeps_to_the_window_and_ends() {
    let mut bench = bench(true, true, None);
    let mut stdin = bench.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&vec![9; wire::STDIN_WINDOW + 5000]));
    let mut got = 0;
    while got < wire::STDIN_WINDOW {
        let (kind, payload) = bench.receive();
        assert_eq!(kind, wire::STDIN);
        got += payload.len();
    }
    assert_eq!(got, wire::STDIN_WINDOW);
    write_blocking(&mut bench.supervisor, wire::STDIN_CREDIT, &(wire::STDIN_WINDOW as u32).to_le_bytes())
        .unwrap();
    loop {
        let (kind, payload) = bench.receive();
        assert_eq!(kind, wire::STDIN);
        got += payload.len();
        if payload.is_empty() {
            break;
        }
    }
    assert_eq!(got, wire::STDIN_WINDOW + 5000);
    writer.join().unwrap().unwrap();
    bench.exited(0);
}

#[test]
fn a_slow_reader_loses_nothing() {
    let mut bench = bench(false, true, None);
    let mut stdout = bench.stdout.take().unwrap();
    let mut supervisor = bench.supervisor.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for part in 0..40u8 {
            write_blocking(&mut supervisor, wire::STDOUT, &vec![part; 100_000]).unwrap();
        }
    });
    let mut got = vec![0; 40 * 100_000];
    stdout.read_exact(&mut got).unwrap();
    assert!(
        got.chunks(100_000).enumerate().all(|(part, bytes)| bytes.iter().all(|b| usize::from(*b) == part))
    );
    writer.join().unwrap();
    bench.exited(0);
}

#[test]
fn a_signal_is_passed_on_while_the_output_is_stuck() {
    let mut bench = bench(false, true, Some(nix::sys::signal::Signal::SIGUSR1));
    assert_eq!(bench.receive().0, wire::STDIN);
    // More than the pipe takes and nobody reads it.
    write_blocking(&mut bench.supervisor, wire::STDOUT, &vec![0; 200_000]).unwrap();
    let (kind, payload) = bench.receive();
    assert_eq!((kind, payload.as_slice()), (wire::REQUEST, &br#"{"op":"signal","signal":10}"#[..]));
    let mut stdout = bench.stdout.take().unwrap();
    let reader = std::thread::spawn(move || stdout.read_exact(&mut vec![0; 200_000]));
    bench.exited(0);
    reader.join().unwrap().unwrap();
}

#[test]
fn nobody_reads_our_output() {
    let mut bench = bench(false, true, None);
    assert_eq!(bench.receive().0, wire::STDIN);
    drop(bench.stdout.take());
    write_blocking(&mut bench.supervisor, wire::STDOUT, b"lost").unwrap();
    let (kind, payload) = bench.receive();
    assert_eq!((kind, payload.as_slice()), (wire::REQUEST, &br#"{"op":"signal","signal":9}"#[..]));
    // What still comes is swallowed.
    write_blocking(&mut bench.supervisor, wire::STDOUT, &vec![0; 300_000]).unwrap();
    assert_eq!(bench.exited(137).ended_by, Some(libc::SIGPIPE));
}

#[test]
fn without_sig_proxy_a_signal_ends_us_and_the_container() {
    let mut bench = bench(false, false, Some(nix::sys::signal::Signal::SIGINT));
    assert_eq!(bench.receive().0, wire::STDIN);
    assert_eq!(bench.receive(), (wire::REQUEST, br#"{"op":"signal","signal":9}"#.to_vec()));
    assert_eq!(bench.exited(137).ended_by, Some(libc::SIGINT));
}

#[test]
fn a_supervisor_that_dies() {
    let bench1 = bench(true, true, None);
    drop(bench1.supervisor);
    assert!(matches!(bench1.relay.join().unwrap().unwrap().outcome, Outcome::Lost));
    let mut bench2 = bench(true, true, None);
    bench2.supervisor.write_all(&[wire::STDOUT, 9, 0, 0, 0, b'x']).unwrap();
    drop(bench2.supervisor);
    assert!(bench2.relay.join().unwrap().is_err(), "in the middle of a frame");
}
