//! What the machine does to the device: reset, restart, transport reset.

use std::io::{Read, Write};

use zerocopy::IntoBytes;

use super::guest::{EVENT, Guest, TX, header};
use crate::virtio::device::VirtioDevice;
use crate::virtio::test_utils::{assert_interrupts_are_suppressed, readable, writable};
use crate::virtio::vsock::packet::{Ports, op};

#[test]
fn a_reset_ends_all_connections_and_the_device_starts_again() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    host.write_all(&vec![1; 100_000]).unwrap();
    guest.send(ports, op::RW, 0, b"x");
    guest.vsock.reset();
    guest.vsock.reset();
    let mut guest = guest.restart();
    // Whatever was under way, the old stream has ended.
    host.shutdown(std::net::Shutdown::Write).unwrap_or(());
    let _ = host.read_to_end(&mut Vec::new());
    guest.send(ports, op::RW, 0, b"x");
    guest.expect(ports, op::RST);
    guest.connect(1, &listener, 5);
}

#[test]
fn host_processes_may_be_there_before_the_guest() {
    let mut guest = Guest::new();
    guest.vsock.reset();
    let mut host = guest.host_connect();
    host.write_all(b"CONNECT 22\n").unwrap();
    let mut guest = guest.restart();
    let request = guest.next();
    assert_eq!((request.op(), request.ports().guest), (op::REQUEST, 22));
}

#[test]
fn a_transport_reset_is_announced() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    guest.vsock.handle().reset_transport();
    let mut got = Vec::new();
    host.read_to_end(&mut got).unwrap();
    // The guest had given no event buffer; it gets the event with the first good one.
    let address = guest.driver.alloc_bytes(&[9; 8]);
    for (len, written) in [(3, 0), (8, 4)] {
        let head = guest.driver.queues[EVENT].add(&[writable(address, len)]);
        guest.driver.queues[EVENT].kick_if_wanted(1);
        assert_eq!(guest.driver.wait_used(EVENT), (head, written));
    }
    assert_eq!(guest.driver.bytes(address, 8), [0, 0, 0, 0, 9, 9, 9, 9]);
    guest.send(ports, op::RW, 0, b"x");
    guest.expect(ports, op::RST);
    guest.flows.clear();
    guest.connect(1, &listener, 5);
}

#[test]
fn the_driver_decides_about_interrupts() {
    let mut guest = Guest::new();
    let packet = header(Ports { guest: 1, host: 2 }, op::RST, 0);
    let address = guest.driver.alloc_bytes(packet.as_bytes());
    assert_interrupts_are_suppressed(&mut guest.vsock, &mut guest.driver, TX, &[readable(address, 44)]);
}
