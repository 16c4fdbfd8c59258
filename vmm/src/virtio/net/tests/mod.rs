//! The device on a real tap, in a network namespace of the test's own, with a packet socket as the host.
//! They need the right to make network namespaces and taps, as root has.

mod host;

use std::collections::BTreeMap;

use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6,
    VIRTIO_NET_F_MRG_RXBUF,
};
use vm_memory::{Bytes, GuestAddress};

use self::host::{Host, in_namespace};
use super::{Net, Tap, TapError};
use crate::config::NetConfig;
use crate::virtio::device::VirtioDevice;
use crate::virtio::test_utils::{
    MockDriver, assert_interrupts_are_suppressed, publish_hostile_chains, readable, writable,
};

const RX: usize = 0;
const TX: usize = 1;
const SEGMENTS: u64 = 1 << VIRTIO_NET_F_GUEST_TSO4
    | 1 << VIRTIO_NET_F_GUEST_TSO6
    | 1 << VIRTIO_NET_F_GUEST_USO4
    | 1 << VIRTIO_NET_F_GUEST_USO6;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

struct Rig {
    net: Net,
    driver: MockDriver,
    buffers: BTreeMap<u16, u64>,
}

impl Rig {
    fn new(without: u64) -> Self {
        let config = NetConfig { tap: host::TAP.to_owned(), mac: MAC, mtu: Some(1500) };
        let mut net = Net::new(&config, Tap::open(host::TAP).unwrap());
        // An interface that is up already gets its queue only some time after it is attached (link_watch.c), and
        // loses what is sent before.
        host::set_up(host::TAP, true);
        let features = net.features() & !without;
        let driver = MockDriver::start_with(&mut net, features);
        Self { net, driver, buffers: BTreeMap::new() }
    }

    fn post(&mut self, count: u16, len: u32) {
        for _ in 0..count {
            let address = self.driver.alloc(len);
            let head = self.driver.queues[RX].add(&[writable(address, len)]);
            self.buffers.insert(head, address);
        }
        self.driver.queues[RX].kick_if_wanted(count);
    }

    /// The next frame that the test sent, with its header and its number of buffers.
    fn receive(&mut self) -> (Vec<u8>, u16) {
        loop {
            let (head, len) = self.driver.wait_used(RX);
            let mut frame = self.driver.bytes(self.buffers.remove(&head).unwrap(), len as usize);
            let count = u16::from_le_bytes([frame[10], frame[11]]);
            for _ in 1..count {
                let (head, len) = self.driver.queues[RX].take_used().expect("all buffers of a frame at once");
                frame.extend(self.driver.bytes(self.buffers.remove(&head).unwrap(), len as usize));
            }
            if host::is_ours(&frame[12..]) {
                return (frame, count);
            }
        }
    }

    fn send(&mut self, frame: &[u8]) {
        let header = self.driver.alloc_bytes(&[0; 12]);
        let body = self.driver.alloc_bytes(frame);
        assert_eq!(self.driver.request(TX, &[readable(header, 12), readable(body, frame.len() as u32)]), 0);
    }
}

#[test]
fn frames_of_the_host_reach_the_guest() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        rig.post(64, 2048);
        for len in [60, 1000, 1514] {
            let frame = host::frame(MAC, len);
            host.send(&frame);
            let (got, count) = rig.receive();
            assert_eq!(count, 1);
            assert_eq!(got[..2], [0, 0], "no offloads in an ordinary frame");
            assert!(got[12..] == frame);
        }
    });
}

#[test]
fn a_large_frame_takes_several_buffers() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        rig.post(64, 2048);
        // The offloads are set before the first frame is taken.
        host.send(&host::frame(MAC, 60));
        rig.receive();
        let frame = host::tcp_frame(MAC, 40_000);
        host.send_segments(&frame);
        let (got, count) = rig.receive();
        assert_eq!(usize::from(count), (frame.len() + 12).div_ceil(2048));
        assert_eq!(got[1], 1, "TCP over IPv4, not cut");
        assert!(got[12..] == frame);
    });
}

#[test]
fn a_driver_that_takes_no_segments_gets_them_cut() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(SEGMENTS);
        rig.post(64, 2048);
        let frame = host::tcp_frame(MAC, 4000);
        host.send_segments(&frame);
        let mut payload: Vec<u8> = Vec::new();
        while payload.len() < 4000 {
            let (got, _) = rig.receive();
            assert!(got.len() <= 12 + 1514);
            payload.extend(&got[12 + 54..]);
        }
        assert!(payload == frame[54..]);
    });
}

#[test]
fn without_mergeable_buffers_a_frame_takes_one_chain() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(1 << VIRTIO_NET_F_MRG_RXBUF);
        // The first is too small for the frame and is used for the next that fits.
        rig.post(1, 200);
        rig.post(3, 65600);
        host.send(&host::frame(MAC, 1000));
        host.send(&host::frame(MAC, 100));
        assert_eq!(rig.receive().0.len(), 112);
        let frame = host::tcp_frame(MAC, 30_000);
        host.send_segments(&frame);
        let (got, count) = rig.receive();
        assert_eq!(count, 1);
        assert!(got[12..] == frame);
    });
}

#[test]
fn frames_of_the_guest_reach_the_host() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        for len in [60, 1000, 1514] {
            let frame = host::frame([0xff; 6], len);
            rig.send(&frame);
            assert!(host.receive() == frame);
        }
    });
}

#[test]
fn a_frame_in_many_pieces_is_one_frame() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        let frame = host::frame([0xff; 6], 500);
        let bytes = [&[0; 12][..], &frame].concat();
        let address = rig.driver.alloc_bytes(&bytes);
        let pieces: Vec<_> = (0..64).map(|i| readable(address + i * 8, 8)).collect();
        assert_eq!(rig.driver.request(TX, &pieces), 0);
        let table = rig.driver.alloc(2048);
        rig.driver.queues[TX].add_indirect(table, &pieces);
        rig.driver.queues[TX].kick_if_wanted(1);
        rig.driver.wait_used(TX);
        assert!(host.receive() == frame);
        assert!(host.receive() == frame);
    });
}

#[test]
fn frames_of_wrong_size_are_refused() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        let address = rig.driver.alloc(70_000);
        for len in [0, 1, 12, 25, 1531, 65536, 70_000] {
            assert_eq!(rig.driver.request(TX, &[readable(address, len)]), 0);
        }
        assert_eq!(rig.driver.request(TX, &[writable(address, 100)]), 0);
        // An offload that nobody knows.
        rig.driver.ram.write_obj(9_u8, GuestAddress(address + 1)).unwrap();
        assert_eq!(rig.driver.request(TX, &[readable(address, 100)]), 0);
        let frame = host::frame([0xff; 6], 60);
        rig.send(&frame);
        assert!(host.receive() == frame, "the first that arrives");
    });
}

#[test]
fn frames_wait_for_buffers() {
    in_namespace(|| {
        let host = Host::new();
        // A driver that takes segments has to give room for the longest first.
        let mut rig = Rig::new(SEGMENTS);
        let frames: Vec<_> = (0..20).map(|i| host::frame(MAC, 100 + i)).collect();
        for frame in &frames {
            host.send(frame);
        }
        let mut seen = 0;
        while seen < frames.len() {
            rig.post(1, 2048);
            let (got, _) = rig.receive();
            assert!(got[12..] == frames[seen]);
            seen += 1;
        }
    });
}

#[test]
fn buffers_are_added_without_kicks_while_there_are_enough() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        rig.post(128, 2048);
        host.send(&host::frame(MAC, 100));
        rig.receive();
        let before = rig.driver.queues[RX].kicks;
        for _ in 0..200 {
            rig.post(1, 2048);
            host.send(&host::frame(MAC, 100));
            rig.receive();
        }
        assert_eq!(rig.driver.queues[RX].kicks, before);
    });
}

#[test]
fn hostile_chains_do_not_stop_the_device() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        let count = publish_hostile_chains(&mut rig.driver, TX);
        for _ in 0..count {
            assert_eq!(rig.driver.wait_used(TX).1, 0);
        }
        publish_hostile_chains(&mut rig.driver, RX);
        host.send(&host::frame(MAC, 100));
        for _ in 0..count {
            assert_eq!(rig.driver.wait_used(RX).1, 0);
        }
        let frame = host::frame([0xff; 6], 60);
        rig.send(&frame);
        assert!(host.receive() == frame);
        rig.net.reset();
        rig.net.reset();
        rig = Rig { driver: MockDriver::start(&mut rig.net), ..rig };
        rig.buffers.clear();
        rig.post(64, 2048);
        let frame = host::frame(MAC, 123);
        host.send(&frame);
        while rig.receive().0[12..] != frame {}
    });
}

#[test]
fn an_interface_that_is_down_loses_frames_and_nothing_else() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        rig.post(64, 2048);
        host::set_up(host::TAP, false);
        rig.send(&host::frame([0xff; 6], 60));
        host::set_up(host::TAP, true);
        let frame = host::frame([0xff; 6], 61);
        rig.send(&frame);
        assert!(host.receive() == frame);
    });
}

#[test]
fn only_taps_that_exist_are_opened() {
    in_namespace(|| {
        let _host = Host::new();
        assert!(matches!(Tap::open("nothere"), Err(TapError::Absent { .. })));
        assert!(matches!(Tap::open("a_name_longer_than_any_interface"), Err(TapError::Absent { .. })));
        assert!(matches!(Tap::open(""), Err(TapError::Absent { .. })));
        assert!(matches!(Tap::open("lo"), Err(TapError::Attach { .. })));
        let _first = Tap::open(host::TAP).unwrap();
        assert!(matches!(Tap::open(host::TAP), Err(TapError::Attach { .. })), "busy");
    });
}

#[test]
fn the_configuration_space_holds_the_mac() {
    in_namespace(|| {
        let _host = Host::new();
        let rig = Rig::new(0);
        let mut config = [9; 14];
        rig.net.read_config(0, &mut config);
        assert_eq!(config, [2, 0, 0, 0, 0, 9, 1, 0, 1, 0, 0xdc, 5, 0, 0]);
        assert_eq!(rig.net.device_type(), 1);
        // What a tap of any kernel that we run on can do.
        for feature in [0, 1, 7, 8, 11, 12, 15] {
            assert_ne!(rig.net.features() & (1 << feature), 0, "feature {feature}");
        }
    });
}

#[test]
fn the_driver_decides_about_interrupts() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        let frame = host::frame([0xff; 6], 60);
        let address = rig.driver.alloc_bytes(&[&[0; 12][..], &frame].concat());
        assert_interrupts_are_suppressed(&mut rig.net, &mut rig.driver, TX, &[readable(address, 72)]);
        assert!(host.receive() == frame);
    });
}

#[test]
fn a_reset_while_busy_leaves_a_usable_device() {
    in_namespace(|| {
        let host = Host::new();
        let mut rig = Rig::new(0);
        rig.post(128, 2048);
        let address = rig.driver.alloc_bytes(&[&[0; 12][..], &host::frame(MAC, 1514)].concat());
        // No more than the packet socket keeps for us.
        for _ in 0..32 {
            rig.driver.queues[TX].add(&[readable(address, 12 + 1514)]);
            host.send(&host::frame(MAC, 1514));
        }
        rig.driver.queues[TX].kick();
        rig.net.reset();
        let mut rig = Rig { driver: MockDriver::start(&mut rig.net), buffers: BTreeMap::new(), net: rig.net };
        rig.post(128, 2048);
        let frame = host::frame(MAC, 200);
        host.send(&frame);
        // What was under way arrives first, and takes buffers.
        while rig.receive().0[12..] != frame {
            rig.post(1, 2048);
        }
        rig.send(&host::frame([0xff; 6], 300));
        while host.receive().len() != 300 {}
    });
}
