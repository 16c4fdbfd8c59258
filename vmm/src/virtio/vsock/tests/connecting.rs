//! Connections begin, or do not.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

use super::guest::{Guest, patient, pattern};
use crate::virtio::device::VirtioDevice;
use crate::virtio::vsock::packet::{Ports, op};

#[test]
fn the_guest_reaches_a_host_socket() {
    let mut guest = Guest::new();
    let listener = guest.listen(1024);
    let (ports, mut host) = guest.connect(5000, &listener, 1024);
    let sent = pattern(10_000, 1);
    guest.send(ports, op::RW, 0, &sent);
    let mut got = vec![0; sent.len()];
    host.read_exact(&mut got).unwrap();
    assert!(got == sent);
    host.write_all(&sent).unwrap();
    assert!(guest.read(ports, sent.len()) == sent);
}

#[test]
fn the_host_reaches_a_guest_port() {
    let mut guest = Guest::new();
    let (ports, mut host) = guest.accept(80);
    host.write_all(b"ping").unwrap();
    assert_eq!(guest.read(ports, 4), b"ping");
    guest.send(ports, op::RW, 0, b"pong");
    let mut got = [0; 4];
    host.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"pong");
    let (other, _host) = guest.accept(80);
    assert_ne!(other, ports);
}

#[test]
fn data_behind_the_connect_line_is_for_the_guest() {
    let mut guest = Guest::new();
    let mut host = guest.host_connect();
    host.write_all(b"CONNECT 7\nearly").unwrap();
    host.shutdown(std::net::Shutdown::Write).unwrap();
    let ports = guest.next().ports();
    guest.send(ports, op::RESPONSE, 0, &[]);
    assert_eq!(guest.read(ports, 5), b"early");
    guest.expect(ports, op::SHUTDOWN);
    let mut line = String::new();
    guest.send(ports, op::SHUTDOWN, 3, &[]);
    host.read_to_string(&mut line).unwrap();
    assert_eq!(line, format!("OK {}\n", ports.host));
}

#[test]
fn nobody_listening_is_a_reset() {
    let mut guest = Guest::new();
    let ports = Ports { guest: 1, host: 2 };
    guest.send(ports, op::REQUEST, 0, &[]);
    guest.expect(ports, op::RST);
    // A file that is no socket is no listener either.
    std::fs::write(guest.path(3), "x").unwrap();
    let ports = Ports { guest: 1, host: 3 };
    guest.send(ports, op::REQUEST, 0, &[]);
    guest.expect(ports, op::RST);
}

#[test]
fn a_refusing_guest_is_the_end_of_the_stream() {
    let mut guest = Guest::new();
    let mut host = guest.host_connect();
    host.write_all(b"CONNECT 9\n").unwrap();
    let ports = guest.next().ports();
    guest.send(ports, op::RST, 0, &[]);
    let mut got = Vec::new();
    host.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"");
}

#[test]
fn a_host_process_that_leaves_early_is_a_reset() {
    let mut guest = Guest::new();
    let mut host = guest.host_connect();
    host.write_all(b"CONNECT 9\n").unwrap();
    let ports = guest.next().ports();
    drop(host);
    guest.expect(ports, op::RST);
    guest.send(ports, op::RESPONSE, 0, &[]);
    guest.expect(ports, op::RST);
}

#[test]
fn a_wrong_greeting_is_hung_up_on() {
    let guest = Guest::new();
    for line in ["GET / HTTP/1.1\n", "CONNECT x\n", "CONNECT 1234567890123456789012345678901234567890"] {
        let mut host = guest.host_connect();
        host.write_all(line.as_bytes()).unwrap();
        let mut got = Vec::new();
        host.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"");
    }
}

#[test]
fn a_full_backlog_is_waited_for() {
    let mut guest = Guest::new();
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(guest.path(77)).unwrap()).unwrap();
    listen(&socket, 0).unwrap();
    let listener = UnixListener::from(socket);
    for guest_port in 0..3 {
        guest.send(Ports { guest: guest_port, host: 77 }, op::REQUEST, 0, &[]);
    }
    // A backlog of 0 holds one connection; the others come as soon as it is taken.
    let mut accepted = Vec::new();
    for guest_port in 0..3 {
        accepted.push(patient(listener.accept().unwrap().0));
        let packet = guest.next();
        assert_eq!((packet.op(), packet.ports().host), (op::RESPONSE, 77), "connection {guest_port}");
    }
}

#[test]
fn connections_are_limited_and_come_back() {
    // Two files per connection, of which many systems allow 1024 unless asked.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let mut hosts = Vec::new();
    let mut refused = 0;
    for port in 0..1030 {
        let ports = Ports { guest: port, host: 5 };
        guest.send(ports, op::REQUEST, 0, &[]);
        match guest.next().op() {
            op::RESPONSE => hosts.push((ports, listener.accept().unwrap().0)),
            op::RST => refused += 1,
            other => panic!("operation {other}"),
        }
    }
    assert_eq!((hosts.len(), refused), (1024, 6));
    // No room for host processes either: they wait in the backlog until a connection ends.
    let mut waiting = guest.host_connect();
    waiting.write_all(b"CONNECT 1\n").unwrap();
    let (ports, _) = hosts[0];
    guest.send(ports, op::SHUTDOWN, 3, &[]);
    guest.expect(ports, op::RST);
    let request = guest.next();
    assert_eq!((request.op(), request.ports().guest), (op::REQUEST, 1));
}

#[test]
fn a_port_can_be_used_again() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    for round in 0..3 {
        let (ports, mut host) = guest.connect(1, &listener, 5);
        guest.send(ports, op::RW, 0, &[round]);
        guest.send(ports, op::SHUTDOWN, 3, &[]);
        guest.expect(ports, op::RST);
        guest.flows.clear();
        let mut got = Vec::new();
        host.read_to_end(&mut got).unwrap();
        assert_eq!(got, [round]);
    }
}

#[test]
fn the_configuration_space_holds_the_cid() {
    let guest = Guest::new();
    let mut data = [9; 10];
    guest.vsock.read_config(0, &mut data);
    assert_eq!(data, [42, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(guest.vsock.device_type(), 19);
}
