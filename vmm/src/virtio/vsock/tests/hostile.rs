//! Guests that break the rules.

use std::io::Read;

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};
use zerocopy::{FromBytes, IntoBytes};

use super::guest::{CID, EVENT, Guest, RX, TX, header};
use crate::virtio::test_utils::{publish_hostile_chains, readable, writable};
use crate::virtio::vsock::packet::{Header, Ports, op};

const NOBODY: Ports = Ports { guest: 9, host: 9 };

#[test]
fn packets_of_unknown_connections_are_reset() {
    let mut guest = Guest::new();
    for operation in
        [op::RESPONSE, op::RW, op::SHUTDOWN, op::CREDIT_UPDATE, op::CREDIT_REQUEST, 0, 8, u16::MAX]
    {
        guest.send(NOBODY, operation, 0, &[]);
        guest.expect(NOBODY, op::RST);
    }
    guest.send(NOBODY, op::RST, 0, &[]);
    guest.assert_alive();
    assert!(guest.inbox.is_empty(), "no RST is answered with RST");
}

#[test]
fn wrong_context_ids_are_ignored() {
    let mut guest = Guest::new();
    let listener = guest.listen(9);
    listener.set_nonblocking(true).unwrap();
    let good = header(NOBODY, op::REQUEST, 0);
    guest.send_raw(&Header { src_cid: 41.into(), ..good }, &[]);
    guest.send_raw(&Header { src_cid: (u64::from(CID) | 1 << 32).into(), ..good }, &[]);
    guest.send_raw(&Header { dst_cid: 1.into(), ..good }, &[]);
    guest.send_raw(&Header { dst_cid: u64::from(CID).into(), ..good }, &[]);
    guest.assert_alive();
    assert!(guest.inbox.is_empty());
    assert!(listener.accept().is_err());
}

#[test]
fn other_types_than_stream_are_reset() {
    let mut guest = Guest::new();
    let _listener = guest.listen(9);
    for kind in [0, 2, u16::MAX] {
        guest.send_raw(&Header { kind: kind.into(), ..header(NOBODY, op::REQUEST, 0) }, &[]);
        guest.expect(NOBODY, op::RST);
        guest.send_raw(&Header { kind: kind.into(), ..header(NOBODY, op::RST, 0) }, &[]);
    }
    guest.assert_alive();
    assert!(guest.inbox.is_empty());
}

#[test]
fn violations_end_the_connection() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let long = header(Ports { guest: 0, host: 5 }, op::RW, 1_000_000);
    let lies = header(Ports { guest: 0, host: 5 }, op::RW, 11);
    let huge = header(Ports { guest: 0, host: 5 }, op::RW, u32::MAX as usize);
    let again = header(Ports { guest: 0, host: 5 }, op::REQUEST, 0);
    let response = header(Ports { guest: 0, host: 5 }, op::RESPONSE, 0);
    let unknown = header(Ports { guest: 0, host: 5 }, 77, 0);
    for bad in [long, lies, huge, again, response, unknown] {
        let (ports, mut host) = guest.connect(0, &listener, 5);
        guest.send_raw(&bad, b"ten bytes.");
        guest.expect(ports, op::RST);
        assert!(!host.read(&mut [0; 10]).is_ok_and(|count| count > 0), "{bad:?}");
    }
    let (ports, _host) = guest.connect(0, &listener, 5);
    guest.send(ports, op::SHUTDOWN, 2, &[]);
    guest.send(ports, op::RW, 0, b"after the end");
    guest.expect(ports, op::RST);
}

#[test]
fn chains_that_are_no_packets_are_ignored() {
    let mut guest = Guest::without_buffers();
    publish_hostile_chains(&mut guest.driver, TX);
    publish_hostile_chains(&mut guest.driver, RX);
    guest.driver.queues[EVENT].kick();
    let mut seen = 0;
    while seen < 13 {
        if guest.driver.queues[TX].take_used().is_some_and(|(_, len)| len == 0) {
            seen += 1;
            continue;
        }
        guest.driver.queues[TX].want_interrupts(true);
        if guest.driver.queues[TX].take_used().is_none() {
            assert!(guest.driver.wait_interrupt(60_000));
        } else {
            seen += 1;
        }
    }
    let mut guest = guest.restart();
    guest.assert_alive();
}

#[test]
fn headers_may_be_cut_anywhere() {
    let mut guest = Guest::new();
    let listener = guest.listen(5);
    let (ports, mut host) = guest.connect(1, &listener, 5);
    let mut bytes = header(ports, op::RW, 6).as_bytes().to_vec();
    bytes.extend(b"pieces");
    let address = guest.driver.alloc_bytes(&bytes);
    for cut in [1, 7, 43, 44, 45, 49] {
        let rest = bytes.len() as u32 - cut;
        let head =
            guest.driver.queues[TX].add(&[readable(address, cut), readable(address + u64::from(cut), rest)]);
        guest.driver.queues[TX].kick();
        assert_eq!(guest.driver.wait_used(TX), (head, 0));
        let mut got = [0; 6];
        host.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"pieces");
    }
}

#[test]
fn useless_receive_buffers_are_given_back() {
    let mut guest = Guest::without_buffers();
    let listener = guest.listen(5);
    let ports = Ports { guest: 1, host: 5 };
    guest.send(ports, op::REQUEST, 0, &[]);
    let _host = listener.accept().unwrap();
    let address = guest.driver.alloc(64);
    for buffer in [writable(address, 43), readable(address, 64), writable(address, 1)] {
        let head = guest.driver.queues[RX].add(&[buffer]);
        guest.driver.queues[RX].kick_if_wanted(1);
        assert_eq!(guest.driver.wait_used(RX), (head, 0));
    }
    let head = guest.driver.queues[RX].add(&[writable(address, 20), writable(address + 20, 24)]);
    guest.driver.queues[RX].kick_if_wanted(1);
    assert_eq!(guest.driver.wait_used(RX), (head, 44));
    let answer = Header::read_from_bytes(&guest.driver.bytes(address, 44)).unwrap();
    assert_eq!(answer.op.get(), op::RESPONSE);
}

#[test]
fn a_flood_of_resets_waits_for_buffers() {
    let mut guest = Guest::without_buffers();
    // 256 answers are kept, then the device stops taking packets; 31 more fill the guest's own slots.
    for port in 0..280 {
        guest.send(Ports { guest: port, host: 1 }, op::RW, 0, &[]);
    }
    guest.post_buffers(64);
    for port in 0..280 {
        guest.expect(Ports { guest: port, host: 1 }, op::RST);
    }
    guest.assert_alive();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// CVE-2019-18960 and its kind: any packets in any order, none of which may stop the device.
    #[test]
    fn any_packets_leave_the_device_alive(
        packets in proptest::collection::vec(
            (
                (0..3_u32, prop_oneof![Just(5_u32), Just(6), Just(1 << 30)]),
                prop_oneof![0..9_u16, any::<u16>()],
                any::<u32>(),
                prop_oneof![Just(None), any::<u32>().prop_map(Some)],
                0..3000_usize,
                prop_oneof![8 => Just(1_u16), 1 => any::<u16>()],
                any::<(u32, u32)>(),
            ),
            1..120,
        )
    ) {
        let mut guest = Guest::new();
        let listener = guest.listen(5);
        listener.set_nonblocking(true).unwrap();
        let mut hosts = Vec::new();
        for ((from, to), operation, flags, len, payload, kind, (buf_alloc, fwd_cnt)) in packets {
            let mut header = header(Ports { guest: from, host: to }, operation, payload);
            header.flags = flags.into();
            header.kind = kind.into();
            header.buf_alloc = buf_alloc.into();
            header.fwd_cnt = fwd_cnt.into();
            if let Some(len) = len {
                header.len = len.into();
            }
            guest.send_raw(&header, &vec![0; payload]);
            hosts.extend(listener.accept().ok());
            if hosts.len() > 3 {
                hosts.remove(0);
            }
        }
        guest.assert_alive();
    }

    /// Any descriptors whatsoever in all queues, then a reset: the device works again.
    #[test]
    fn any_descriptors_leave_the_device_alive(
        descriptors in proptest::collection::vec((any::<(u16, u16)>(), prop_oneof![0..0x20_0000_u64, any::<u64>()], prop_oneof![0..5000_u32, any::<u32>()], 0..8_u16), 1..200),
        bytes in proptest::collection::vec(any::<u8>(), 4096),
    ) {
        let mut guest = Guest::without_buffers();
        guest.driver.ram.write_slice(&bytes, GuestAddress(0x10_0000)).unwrap();
        for (index, ((slot, next), address, len, flags)) in descriptors.into_iter().enumerate() {
            let queue = &mut guest.driver.queues[index % 3];
            queue.write_descriptor(slot % 8, address, len, flags, next % 9);
            queue.publish(slot % 9);
            queue.kick();
        }
        guest.restart().assert_alive();
    }
}
