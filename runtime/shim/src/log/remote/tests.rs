//! Daemons that listen, stall and go.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket as StdUdpSocket};

use super::*;
use crate::log::Log;
use crate::log::tests::{local, plan};

fn endpoint(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}")
}

async fn open(options: &[(&str, &str)]) -> Result<Log, String> {
    Log::open(&plan("syslog", options), std::path::Path::new("/nonexistent"))
        .await
        .map_err(|failure| failure.message)
}

#[tokio::test]
async fn messages_in_all_formats() {
    local(async {
        for (format, head) in
            [("", "<30>"), ("rfc3164", "<30>"), ("rfc5424", "<30>1 20"), ("rfc5424micro", "<30>1 20")]
        {
            let daemon = StdUdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            daemon.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let address = endpoint("udp", daemon.local_addr().unwrap().port());
            let options = [("syslog-address", address.as_str()), ("syslog-format", format), ("tag", "t")];
            let mut log = open(&options).await.unwrap();
            log.write(Stream::Stdout, b"hello\n\n");
            log.write(Stream::Stderr, b"\xffbad");
            assert_eq!(log.close().await, 0);
            let receive = || {
                let mut message = [0; 1000];
                let length = daemon.recv(&mut message).unwrap();
                String::from_utf8_lossy(&message[..length]).into_owned()
            };
            let (first, second) = (receive(), receive());
            let pid = std::process::id();
            let tail = if format.starts_with("rfc5424") {
                format!(" t {pid} t - hello\n")
            } else {
                format!(" t[{pid}]: hello\n")
            };
            assert!(first.starts_with(head) && first.ends_with(&tail), "{first}");
            assert!(second.starts_with("<27>") && second.ends_with("\u{fffd}bad\n"), "{second}");
            if format == "rfc5424micro" {
                assert_eq!(first.split('.').nth(1).unwrap().find(['Z', '+', '-']), Some(6), "{first}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_listens_at_the_start() {
    local(async {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let error = open(&[("syslog-address", &endpoint("tcp", port))]).await.unwrap_err();
        let want = format!(
            "failed to initialize logging driver: dial tcp 127.0.0.1:{port}: connect: connection refused"
        );
        assert_eq!(error, want);
        let error = open(&[("syslog-address", "tcp://no.such.host")]).await.unwrap_err();
        assert_eq!(error, "failed to initialize logging driver: lookup no.such.host: no such host");
    })
    .await;
}

#[tokio::test]
async fn a_stalled_daemon_stalls_nobody() {
    local(async {
        let daemon = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = endpoint("tcp", daemon.local_addr().unwrap().port());
        let options =
            [("syslog-address", address.as_str()), ("mode", "non-blocking"), ("max-buffer-size", "64k")];
        let mut log = open(&options).await.unwrap();
        let (_connection, _) = daemon.accept().unwrap();
        let lines = "x".repeat(1000) + "\n";
        let start = Instant::now();
        for _ in 0..20_000 {
            log.write(Stream::Stdout, lines.as_bytes());
            tokio::task::yield_now().await;
        }
        assert!(log.dropped() > 0);
        assert!(log.close().await > 0);
        assert!(start.elapsed() < Duration::from_mins(1));
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_comes_back_gets_what_waited_and_is_told_what_did_not() {
    local(async {
        let daemon = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = daemon.local_addr().unwrap();
        let uri = endpoint("tcp", address.port());
        let options = [("syslog-address", uri.as_str()), ("mode", "non-blocking"), ("max-buffer-size", "1k")];
        let mut log = open(&options).await.unwrap();
        let (connection, _) = daemon.accept().unwrap();
        log.write(Stream::Stdout, b"first\n");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut line = String::new();
        BufReader::new(&connection).read_line(&mut line).unwrap();
        assert!(line.ends_with(": first\n"), "{line}");
        drop((connection, daemon));
        for number in 0..100 {
            log.write(Stream::Stdout, format!("later {number}\n").as_bytes());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(log.dropped() > 0);
        let daemon = TcpListener::bind(address).unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            daemon.accept().unwrap().0.read_to_string(&mut text).unwrap();
            text
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        log.close().await;
        let text = reader.join().unwrap();
        assert!(
            text.contains(": later ") && text.contains("log messages of this container were dropped"),
            "{text}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_hangs_up_is_not_called_all_the_time() {
    local(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let daemon = std::os::unix::net::UnixListener::bind(&path).unwrap();
        daemon.set_nonblocking(true).unwrap();
        let uri = format!("unix://{}", path.display());
        let mut log = open(&[("syslog-address", uri.as_str())]).await.unwrap();
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(500) {
            log.write(Stream::Stdout, b"x\n");
            tokio::time::sleep(Duration::from_millis(1)).await;
            // Accepted and closed at once.
            calls += u32::from(daemon.accept().is_ok());
        }
        assert!((2..20).contains(&calls), "{calls}");
        drop(daemon);
        assert!(log.close().await > 0);
    })
    .await;
}

#[tokio::test]
async fn the_journals_socket() {
    local(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let encoder = || Encoder::Journald(journald::Encoder::new(&plan("journald", &[])).unwrap());
        let missing = Remote::connect(encoder(), Endpoint::Journald(path.clone()), 1000).await.unwrap_err();
        assert_eq!(missing, "journald is not enabled on this host");
        let daemon = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let mut remote = Remote::connect(encoder(), Endpoint::Journald(path), 1000).await.unwrap();
        remote.line(&Line { stream: Stream::Stdout, at_ns: 0, text: b"hi", whole: true });
        assert_eq!(remote.close().await, 0);
        let mut message = [0; 1000];
        let length = daemon.recv(&mut message).unwrap();
        assert!(message[..length].starts_with(b"MESSAGE=hi\nPRIORITY=6\n"));
    })
    .await;
}
