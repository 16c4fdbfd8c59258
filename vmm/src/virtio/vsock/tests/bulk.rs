//! Many bytes at once.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use super::guest::{Guest, patient, pattern};
use crate::virtio::vsock::packet::{Ports, SHUTDOWN_BOTH, SHUTDOWN_SEND, op};

/// The guest's end of an echo: what it still has to send, what it has got.
struct Echo {
    sent: usize,
    closed: bool,
    got: Vec<u8>,
    done: bool,
}

#[test]
fn ten_connections_both_ways_at_once() {
    const EACH: usize = 4 << 20;
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let mut echoes = BTreeMap::new();
    let mut threads = Vec::new();
    // All are connected before the first sends.
    let ends: Vec<_> = (0..10).map(|port| guest.connect(port, &listener, 5)).collect();
    for (ports, stream) in ends {
        let port = ports.guest;
        echoes.insert(ports, Echo { sent: 0, closed: false, got: Vec::new(), done: false });
        threads.push(thread::spawn(move || {
            // Both directions at once, each with its own thread, as `cat` does not do it.
            let mut reader = stream.try_clone().unwrap();
            let mut writer = patient(stream);
            let sending = thread::spawn(move || {
                writer.write_all(&pattern(EACH, port + 100)).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            sending.join().unwrap();
            assert!(got == pattern(EACH, port), "what the guest sent on {port}");
        }));
    }
    let contents: BTreeMap<Ports, Vec<u8>> =
        echoes.keys().map(|ports| (*ports, pattern(EACH, ports.guest))).collect();
    while echoes.values().any(|echo| !echo.done) {
        let mut moved = false;
        for (ports, echo) in &mut echoes {
            let room = (guest.flows[ports].room() as usize).min(65536).min(EACH - echo.sent);
            if room > 0 {
                let piece = &contents[ports][echo.sent..echo.sent + room];
                guest.send(*ports, op::RW, 0, piece);
                echo.sent += room;
                moved = true;
            } else if echo.sent == EACH && !echo.closed {
                guest.send(*ports, op::SHUTDOWN, SHUTDOWN_SEND, &[]);
                echo.closed = true;
                moved = true;
            }
        }
        if guest.inbox.is_empty() && !moved {
            guest.sleep();
        }
        while let Some(packet) = guest.inbox.pop_front() {
            let ports = packet.ports();
            let echo = echoes.get_mut(&ports).unwrap();
            match packet.op() {
                op::RW => {
                    echo.got.extend(packet.payload);
                    if echo.got.len() % 131_072 < 4096 {
                        guest.send(ports, op::CREDIT_UPDATE, 0, &[]);
                    }
                }
                op::SHUTDOWN => echo.done |= packet.header.flags.get() & SHUTDOWN_SEND != 0,
                op::CREDIT_UPDATE => {}
                op::CREDIT_REQUEST => guest.send(ports, op::CREDIT_UPDATE, 0, &[]),
                other => panic!("operation {other}"),
            }
        }
    }
    for (ports, echo) in &echoes {
        assert!(
            echo.got == pattern(EACH, ports.guest + 100),
            "what {ports:?} received: {} bytes",
            echo.got.len()
        );
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_slow_reader_does_not_stall_the_others() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (slow, mut sleeper) = guest.connect(1, &listener, 5);
    let (fast, mut host) = guest.connect(2, &listener, 5);
    let unread = pattern(512 * 1024, 1);
    for piece in unread.chunks(65536) {
        guest.send(slow, op::RW, 0, piece);
    }
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        host.read_to_end(&mut got).unwrap();
        got
    });
    let sent = pattern(8 << 20, 2);
    let mut at = 0;
    while at < sent.len() {
        let room = (guest.flows[&fast].room() as usize).min(65536).min(sent.len() - at);
        if room == 0 {
            guest.sleep();
            continue;
        }
        guest.send(fast, op::RW, 0, &sent[at..at + room]);
        at += room;
    }
    guest.send(fast, op::SHUTDOWN, SHUTDOWN_BOTH, &[]);
    assert!(reader.join().unwrap() == sent);
    // And the slow one has lost nothing.
    guest.send(slow, op::SHUTDOWN, SHUTDOWN_BOTH, &[]);
    let mut got = Vec::new();
    sleeper.read_to_end(&mut got).unwrap();
    assert!(got == unread);
}

#[test]
fn a_guest_that_does_not_read_one_stream_gets_the_others() {
    let mut guest = Guest::new();
    guest.reads = false;
    guest.buf_alloc = 10_000;
    let (stuck, mut pusher) = guest.accept(1);
    pusher.write_all(&vec![1; 100_000]).unwrap();
    guest.skip_to(stuck, op::CREDIT_REQUEST);
    guest.reads = true;
    guest.buf_alloc = 256 * 1024;
    let (ports, mut host) = guest.accept(2);
    let sender = thread::spawn(move || {
        host.write_all(&pattern(2 << 20, 9)).unwrap();
        drop(host);
    });
    let mut got = Vec::new();
    while got.len() < 2 << 20 {
        let packet = guest.next();
        if packet.ports() == ports && packet.op() == op::RW {
            got.extend(packet.payload);
            guest.send(ports, op::CREDIT_UPDATE, 0, &[]);
        }
    }
    assert!(got == pattern(2 << 20, 9));
    sender.join().unwrap();
}
