//! Connections end, in halves and whole, and nothing that was sent is lost.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use super::guest::{Guest, pattern};
use crate::virtio::vsock::packet::{SHUTDOWN_BOTH, SHUTDOWN_RCV, SHUTDOWN_SEND, op};

#[test]
fn the_guest_half_closes_and_still_receives() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    guest.send(ports, op::RW, 0, b"last words");
    guest.send(ports, op::SHUTDOWN, SHUTDOWN_SEND, &[]);
    let mut got = String::new();
    host.read_to_string(&mut got).unwrap();
    assert_eq!(got, "last words");
    let answer = pattern(100_000, 3);
    host.write_all(&answer).unwrap();
    assert!(guest.read(ports, answer.len()) == answer);
    drop(host);
    let end = guest.skip_to(ports, op::SHUTDOWN);
    assert_eq!(end.header.flags.get() & SHUTDOWN_SEND, SHUTDOWN_SEND);
    guest.send(ports, op::RST, 0, &[]);
    guest.assert_alive();
}

#[test]
fn the_host_half_closes_and_still_receives() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    let input = pattern(100_000, 4);
    host.write_all(&input).unwrap();
    host.shutdown(Shutdown::Write).unwrap();
    assert!(guest.read(ports, input.len()) == input, "all data comes before the end");
    assert_eq!(guest.skip_to(ports, op::SHUTDOWN).header.flags.get(), SHUTDOWN_SEND);
    for round in 0..3 {
        guest.send(ports, op::RW, 0, &[round; 1000]);
    }
    guest.send(ports, op::SHUTDOWN, SHUTDOWN_BOTH, &[]);
    guest.skip_to(ports, op::RST);
    let mut got = Vec::new();
    host.read_to_end(&mut got).unwrap();
    assert_eq!(got, [[0; 1000], [1; 1000], [2; 1000]].concat());
}

#[test]
fn both_half_close() {
    let mut guest = Guest::new();
    let (ports, mut host) = guest.accept(1);
    guest.send(ports, op::SHUTDOWN, SHUTDOWN_SEND, &[]);
    assert_eq!(host.read(&mut [0; 1]).unwrap(), 0);
    host.write_all(b"x").unwrap();
    host.shutdown(Shutdown::Write).unwrap();
    assert_eq!(guest.read(ports, 1), b"x");
    guest.expect(ports, op::SHUTDOWN);
    guest.send(ports, op::SHUTDOWN, SHUTDOWN_BOTH, &[]);
    guest.skip_to(ports, op::RST);
}

#[test]
fn a_guest_that_closes_at_once_loses_nothing() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    // More than the socket takes, as much as the credit allows, while the host process sleeps.
    let sent = pattern(512 * 1024, 5);
    for piece in sent.chunks(60_000) {
        guest.send(ports, op::RW, 0, piece);
    }
    guest.send(ports, op::SHUTDOWN, SHUTDOWN_BOTH, &[]);
    guest.skip_to(ports, op::RST);
    // The guest may use its port again while the host still has to read.
    guest.flows.clear();
    let (again, _second) = guest.connect(1, &listener, 5);
    assert_eq!(again, ports);
    let mut got = Vec::new();
    host.read_to_end(&mut got).unwrap();
    assert!(got == sent);
}

#[test]
fn data_before_a_reset_arrives_too() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    let sent = pattern(500_000, 6);
    for piece in sent.chunks(50_000) {
        guest.send(ports, op::RW, 0, piece);
    }
    guest.send(ports, op::RST, 0, &[]);
    let mut got = Vec::new();
    host.read_to_end(&mut got).unwrap();
    assert!(got == sent);
}

#[test]
fn a_host_that_closes_at_once_loses_nothing() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    let sent = pattern(200_000, 7);
    host.write_all(&sent).unwrap();
    drop(host);
    let mut got = Vec::new();
    let mut flags = 0;
    while flags != SHUTDOWN_BOTH {
        let packet = guest.next();
        match packet.op() {
            op::RW => got.extend(packet.payload),
            op::SHUTDOWN => flags = packet.header.flags.get(),
            other => panic!("operation {other}"),
        }
    }
    assert!(got == sent);
    guest.send(ports, op::RST, 0, &[]);
    guest.assert_alive();
}

#[test]
fn a_guest_that_stops_receiving_is_a_broken_pipe() {
    let mut guest = Guest::new();
    let (ports, mut host) = guest.accept(1);
    guest.send(ports, op::SHUTDOWN, SHUTDOWN_RCV, &[]);
    guest.send(ports, op::RW, 0, b"still here");
    let mut got = [0; 10];
    host.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"still here");
    assert_eq!(host.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_host_that_stops_receiving_is_a_shutdown() {
    let mut guest = Guest::new();
    let (ports, mut host) = guest.accept(1);
    host.shutdown(Shutdown::Read).unwrap();
    guest.send(ports, op::RW, 0, b"nobody reads this");
    assert_eq!(guest.expect(ports, op::SHUTDOWN).header.flags.get(), SHUTDOWN_RCV);
    host.write_all(b"but this").unwrap();
    assert_eq!(guest.read(ports, 8), b"but this");
}

#[test]
fn unread_data_of_the_host_does_not_turn_the_end_into_an_error() {
    let mut guest = Guest::new();
    guest.buf_alloc = 1000;
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    // More than the guest's credit, so that some stays unread in the socket.
    host.write_all(&[0; 5000]).unwrap();
    guest.send(ports, op::RW, 0, b"bye");
    guest.send(ports, op::SHUTDOWN, SHUTDOWN_BOTH, &[]);
    let mut got = String::new();
    host.read_to_string(&mut got).unwrap();
    assert_eq!(got, "bye");
}

#[test]
fn the_end_of_a_process_is_told_although_the_guest_has_no_credit() {
    let mut guest = Guest::new();
    guest.reads = false;
    guest.buf_alloc = 1000;
    let (ports, mut host) = guest.accept(1);
    host.write_all(&[0; 5000]).unwrap();
    guest.skip_to(ports, op::CREDIT_REQUEST);
    drop(host);
    // What the guest has not read yet stays readable; its own writes fail from now on.
    assert_eq!(guest.skip_to(ports, op::SHUTDOWN).header.flags.get(), SHUTDOWN_RCV);
    guest.reads = true;
    guest.flows.get_mut(&ports).unwrap().forwarded = 1000;
    guest.send(ports, op::CREDIT_UPDATE, 0, &[]);
    assert_eq!(guest.read(ports, 1000).len(), 1000);
}
