//! The guest's half: a driver for the three queues and as much of a socket layer as the tests need.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress};
use zerocopy::{FromBytes, IntoBytes};

use crate::virtio::test_utils::{Buf, MockDriver, readable, writable};
use crate::virtio::vsock::packet::{HEADER_LEN, HOST_CID, Header, Ports, TYPE_STREAM, op};
use crate::virtio::vsock::{Vsock, VsockHost};

pub(super) const CID: u32 = 42;
pub(super) const RX: usize = 0;
pub(super) const TX: usize = 1;
pub(super) const EVENT: usize = 2;
/// As in Linux 6.12: buffers of 4 KiB.
const RX_BUFFER: u32 = 4096;
const TX_SLOTS: usize = 32;
const TX_SLOT: u32 = 65536 + HEADER_LEN as u32;
/// What the mock guest lets the host have in flight unless a test says otherwise.
const BUF_ALLOC: u32 = 256 * 1024;

/// A packet that the guest has received.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

impl Packet {
    pub(super) fn ports(&self) -> Ports {
        Ports { guest: self.header.dst_port.get(), host: self.header.src_port.get() }
    }

    pub(super) fn op(&self) -> u16 {
        self.header.op.get()
    }
}

/// The guest's view of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) buf_alloc: u32,
    pub(super) forwarded: u32,
    pub(super) sent: u32,
    pub(super) host_buf_alloc: u32,
    pub(super) host_forwarded: u32,
}

impl Flow {
    fn new(buf_alloc: u32) -> Self {
        Self { buf_alloc, forwarded: 0, sent: 0, host_buf_alloc: 0, host_forwarded: 0 }
    }

    /// Bytes that the guest may send now.
    pub(super) fn room(&self) -> u32 {
        self.host_buf_alloc - (self.sent - self.host_forwarded)
    }
}

/// Device, guest and host directory of one test.
pub(super) struct Guest {
    pub(super) vsock: Vsock,
    pub(super) driver: MockDriver,
    pub(super) flows: BTreeMap<Ports, Flow>,
    pub(super) inbox: VecDeque<Packet>,
    /// Whether received data counts as read by the guest's application at once.
    pub(super) reads: bool,
    /// Of new connections.
    pub(super) buf_alloc: u32,
    rx_buffers: BTreeMap<u16, u64>,
    tx_slots: Vec<u64>,
    tx_busy: BTreeMap<u16, u64>,
    directory: TempDir,
}

impl Guest {
    pub(super) fn new() -> Self {
        let mut guest = Self::without_buffers();
        guest.post_buffers(128);
        guest
    }

    /// A guest that has given no receive buffers yet.
    pub(super) fn without_buffers() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = VsockHost::bind(&directory.path().join("v")).unwrap();
        let mut vsock = Vsock::new(CID, host).unwrap();
        let driver = MockDriver::start(&mut vsock);
        Self::on(vsock, driver, directory)
    }

    fn on(vsock: Vsock, mut driver: MockDriver, directory: TempDir) -> Self {
        let tx_slots = (0..TX_SLOTS).map(|_| driver.alloc(TX_SLOT)).collect();
        Self {
            vsock,
            driver,
            flows: BTreeMap::new(),
            inbox: VecDeque::new(),
            reads: true,
            buf_alloc: BUF_ALLOC,
            rx_buffers: BTreeMap::new(),
            tx_slots,
            tx_busy: BTreeMap::new(),
            directory,
        }
    }

    /// The same device and directory after the driver has reset the device.
    pub(super) fn restart(mut self) -> Self {
        use crate::virtio::device::VirtioDevice;
        self.vsock.reset();
        let driver = MockDriver::start(&mut self.vsock);
        let mut guest = Self::on(self.vsock, driver, self.directory);
        guest.post_buffers(128);
        guest
    }

    pub(super) fn post_buffers(&mut self, count: usize) {
        for _ in 0..count {
            let address = self.driver.alloc(RX_BUFFER);
            let head = self.driver.queues[RX].add(&[writable(address, RX_BUFFER)]);
            self.rx_buffers.insert(head, address);
        }
        self.driver.queues[RX].kick_if_wanted(count as u16);
    }

    /// Listens where guest connections to `port` arrive.
    pub(super) fn listen(&self, port: u32) -> UnixListener {
        UnixListener::bind(self.path(port)).unwrap()
    }

    pub(super) fn path(&self, port: u32) -> PathBuf {
        self.directory.path().join(format!("v_{port}"))
    }

    /// A host process that connects to the device.
    pub(super) fn host_connect(&self) -> UnixStream {
        patient(UnixStream::connect(self.directory.path().join("v")).unwrap())
    }

    /// A packet with the flow's credit and this payload.
    pub(super) fn send(&mut self, ports: Ports, operation: u16, flags: u32, payload: &[u8]) {
        let mut header = header(ports, operation, payload.len());
        header.flags = flags.into();
        let flow = self.flows.entry(ports).or_insert(Flow::new(self.buf_alloc));
        header.buf_alloc = flow.buf_alloc.into();
        header.fwd_cnt = flow.forwarded.into();
        flow.sent = flow.sent.wrapping_add(payload.len() as u32);
        self.send_raw(&header, payload);
    }

    /// Any header and payload, in two descriptors as Linux does.
    pub(super) fn send_raw(&mut self, header: &Header, payload: &[u8]) {
        while self.tx_slots.is_empty() || self.driver.queues[TX].room() < 2 {
            self.sleep();
        }
        let slot = self.tx_slots.pop().unwrap();
        self.driver.ram.write_slice(header.as_bytes(), GuestAddress(slot)).unwrap();
        self.driver.ram.write_slice(payload, GuestAddress(slot + HEADER_LEN as u64)).unwrap();
        let mut buffers: Vec<Buf> = vec![readable(slot, HEADER_LEN as u32)];
        if !payload.is_empty() {
            buffers.push(readable(slot + HEADER_LEN as u64, payload.len() as u32));
        }
        let head = self.driver.queues[TX].add(&buffers);
        self.tx_busy.insert(head, slot);
        self.driver.queues[TX].kick_if_wanted(1);
    }

    /// Takes what the device has used; true if there was anything.
    pub(super) fn pump(&mut self) -> bool {
        let mut any = false;
        while let Some((head, _)) = self.driver.queues[TX].take_used() {
            self.tx_slots.extend(self.tx_busy.remove(&head));
            any = true;
        }
        let mut added = 0;
        while let Some((head, len)) = self.driver.queues[RX].take_used() {
            let address = self.rx_buffers.remove(&head).unwrap();
            let bytes = self.driver.bytes(address, len as usize);
            let (header, payload) = Header::read_from_prefix(&bytes).unwrap();
            assert_eq!(header.len.get() as usize, payload.len());
            assert_eq!((header.src_cid.get(), header.dst_cid.get()), (HOST_CID, u64::from(CID)));
            assert_eq!(header.kind.get(), TYPE_STREAM);
            let packet = Packet { header, payload: payload.to_vec() };
            let flow = self.flows.entry(packet.ports()).or_insert(Flow::new(self.buf_alloc));
            flow.host_buf_alloc = header.buf_alloc.get();
            flow.host_forwarded = header.fwd_cnt.get();
            if self.reads {
                flow.forwarded = flow.forwarded.wrapping_add(payload.len() as u32);
            }
            self.inbox.push_back(packet);
            let head = self.driver.queues[RX].add(&[writable(address, RX_BUFFER)]);
            self.rx_buffers.insert(head, address);
            added += 1;
            any = true;
        }
        if added > 0 {
            self.driver.queues[RX].kick_if_wanted(added);
        }
        any
    }

    /// Waits for an interrupt unless there is something to take already.
    pub(super) fn sleep(&mut self) {
        self.driver.queues[RX].want_interrupts(true);
        self.driver.queues[TX].want_interrupts(true);
        if !self.pump() {
            assert!(self.driver.wait_interrupt(60_000), "the device sends nothing");
            self.pump();
        }
    }

    /// The next packet of any connection.
    pub(super) fn next(&mut self) -> Packet {
        loop {
            if let Some(packet) = self.inbox.pop_front() {
                return packet;
            }
            self.sleep();
        }
    }

    /// The next packet, which must be this operation of this connection.
    pub(super) fn expect(&mut self, ports: Ports, operation: u16) -> Packet {
        let packet = self.next();
        assert_eq!((packet.ports(), packet.op()), (ports, operation), "{:?}", packet.header);
        packet
    }

    /// The next packet of this operation and connection, whatever comes before it.
    pub(super) fn skip_to(&mut self, ports: Ports, operation: u16) -> Packet {
        loop {
            let packet = self.next();
            if packet.ports() == ports && packet.op() == operation {
                return packet;
            }
        }
    }

    /// Reads exactly `len` bytes of data.
    pub(super) fn read(&mut self, ports: Ports, len: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < len {
            data.extend(self.skip_to(ports, op::RW).payload);
        }
        assert_eq!(data.len(), len);
        data
    }

    /// Connects to a listening host port; returns both ends.
    pub(super) fn connect(&mut self, guest: u32, listener: &UnixListener, port: u32) -> (Ports, UnixStream) {
        let ports = Ports { guest, host: port };
        self.send(ports, op::REQUEST, 0, &[]);
        let stream = patient(listener.accept().unwrap().0);
        self.expect(ports, op::RESPONSE);
        (ports, stream)
    }

    /// A connection from the host to guest port `guest`.
    pub(super) fn accept(&mut self, guest: u32) -> (Ports, UnixStream) {
        let mut stream = self.host_connect();
        writeln!(stream, "CONNECT {guest}").unwrap();
        let request = self.next();
        assert_eq!((request.op(), request.ports().guest), (op::REQUEST, guest));
        let ports = request.ports();
        self.send(ports, op::RESPONSE, 0, &[]);
        let mut line = vec![0; format!("OK {}\n", ports.host).len()];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(line, format!("OK {}\n", ports.host).into_bytes());
        (ports, stream)
    }

    /// The device still answers: a packet of an unknown connection gets its RST.
    pub(super) fn assert_alive(&mut self) {
        let ports = Ports { guest: 0xffff_0000, host: 0xffff_0001 };
        self.send(ports, op::CREDIT_UPDATE, 0, &[]);
        self.skip_to(ports, op::RST);
    }
}

pub(super) fn header(ports: Ports, operation: u16, len: usize) -> Header {
    Header {
        src_cid: u64::from(CID).into(),
        dst_cid: HOST_CID.into(),
        src_port: ports.guest.into(),
        dst_port: ports.host.into(),
        len: (len as u32).into(),
        kind: TYPE_STREAM.into(),
        op: operation.into(),
        ..Header::default()
    }
}

/// Fails instead of hanging.
pub(super) fn patient(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.set_write_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Bytes that are not the same anywhere soon.
pub(super) fn pattern(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}
