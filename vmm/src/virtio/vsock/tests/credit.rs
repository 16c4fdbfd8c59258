//! Back-pressure in both directions.

use std::io::{Read, Write};

use super::guest::{Guest, pattern};
use crate::virtio::vsock::packet::op;

#[test]
fn a_host_that_does_not_read_stops_the_guest() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    let sent = pattern(4 << 20, 1);
    let mut at = 0;
    // Send as long as there is credit; the socket and the buffer fill, then it is used up for good.
    loop {
        let room = guest.flows[&ports].room() as usize;
        if room == 0 {
            // Everything sent was taken, so the last update is on its way if there is one.
            guest.assert_alive();
            if guest.flows[&ports].room() == 0 {
                break;
            }
            continue;
        }
        let piece = &sent[at..at + room.min(65536)];
        guest.send(ports, op::RW, 0, piece);
        at += piece.len();
    }
    assert!(at < 1 << 20, "{at} bytes in a socket and a buffer");
    let mut got = vec![0; at];
    host.read_exact(&mut got).unwrap();
    assert!(got == sent[..at]);
    // The room is announced without being asked for.
    while guest.flows[&ports].room() == 0 {
        guest.sleep();
    }
}

#[test]
fn more_than_the_credit_is_a_reset() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, _host) = guest.connect(1, &listener, 5);
    for _ in 0..64 {
        guest.send(ports, op::RW, 0, &vec![0; 65536]);
    }
    guest.skip_to(ports, op::RST);
    guest.assert_alive();
}

#[test]
fn the_guest_can_ask_for_its_credit() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, _host) = guest.connect(1, &listener, 5);
    guest.send(ports, op::RW, 0, &[0; 1000]);
    guest.send(ports, op::CREDIT_REQUEST, 0, &[]);
    let update = guest.expect(ports, op::CREDIT_UPDATE);
    assert_eq!(update.header.fwd_cnt.get(), 1000);
    assert_eq!(update.header.buf_alloc.get(), 512 * 1024);
}

#[test]
fn a_guest_that_does_not_read_stops_the_host() {
    let mut guest = Guest::new();
    guest.reads = false;
    let (ports, mut host) = guest.accept(1);
    guest.flows.get_mut(&ports).unwrap().buf_alloc = 1000;
    guest.send(ports, op::CREDIT_UPDATE, 0, &[]);
    // The device has taken the update when it answers this.
    guest.assert_alive();
    let sent = pattern(5000, 2);
    host.write_all(&sent).unwrap();
    let mut got = guest.read(ports, 1000);
    guest.expect(ports, op::CREDIT_REQUEST);
    guest.assert_alive();
    assert!(guest.inbox.is_empty());
    for _ in 0..4 {
        guest.flows.get_mut(&ports).unwrap().forwarded += 1000;
        guest.send(ports, op::CREDIT_UPDATE, 0, &[]);
        got.extend(guest.read(ports, 1000));
    }
    assert!(got == sent);
}

#[test]
fn no_receive_buffers_stop_the_host_until_there_are_some() {
    let mut guest = Guest::without_buffers();
    let listener = guest.listen(5);
    let ports = crate::virtio::vsock::packet::Ports { guest: 1, host: 5 };
    guest.send(ports, op::REQUEST, 0, &[]);
    let mut host = listener.accept().unwrap().0;
    let sent = pattern(50_000, 3);
    host.write_all(&sent).unwrap();
    // One buffer at a time: each has to be asked for with a kick.
    for _ in 0..4 {
        guest.post_buffers(1);
        guest.next();
    }
    guest.post_buffers(8);
    let mut got: usize = 3 * (4096 - 44);
    while got < sent.len() {
        got += guest.next().payload.len();
    }
    assert_eq!(got, sent.len());
}

#[test]
fn buffers_are_added_without_kicks_while_there_are_enough() {
    let mut guest = Guest::new();
    let (ports, mut host) = guest.accept(1);
    let before = guest.driver.queues[0].kicks;
    for round in 0..1000_u32 {
        host.write_all(&round.to_le_bytes()).unwrap();
        assert_eq!(guest.read(ports, 4), round.to_le_bytes());
    }
    assert_eq!(guest.driver.queues[0].kicks, before);
}
