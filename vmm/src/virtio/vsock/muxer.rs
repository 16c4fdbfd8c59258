//! Connections come and go: what packets of the guest and events of sockets do to the table.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::connection::{Connection, Phase, Violation, close_gently};
use super::credit::Credit;
use super::greeting::{Greeting, Progress};
use super::host::{VsockHost, dial};
use super::packet::{HOST_CID, Header, Ports, TYPE_STREAM, op};
use super::table::{Dialing, MAX_SLOTS, Slot, Table};
use crate::virtio::guest_iovec::GuestIovec;
use crate::virtio::worker::{watch, watch_edges};

/// Host processes that may be writing their first line at a time.
const MAX_GREETINGS: usize = 64;
/// RSTs that wait for buffers; the guest's packets wait when there are more.
const MAX_RESETS: usize = 256;
/// How long a host process may take to say which port it wants.
const GREETING_TIME: Duration = Duration::from_secs(10);
/// How long the guest may take to answer a REQUEST.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long a full backlog of a host socket is waited for; Linux' connect(2) gives up after the same time.
const DIAL_TIME: Duration = Duration::from_secs(2);
/// The kernel has no event for a backlog that is no longer full.
const DIAL_RETRY: Duration = Duration::from_millis(10);
/// How long a connection that is over waits for the guest's RST.
const CLOSING_TIME: Duration = Duration::from_secs(2);
/// How long no connection is accepted after the process ran out of files.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// First port of connections from the host, above the ports that people choose.
const FIRST_HOST_PORT: u32 = 1 << 30;

/// The state of all connections.
#[derive(Debug)]
pub(super) struct Muxer {
    guest_cid: u64,
    host: Arc<VsockHost>,
    pub(super) table: Table,
    pub(super) resets: VecDeque<Ports>,
    next_port: u32,
    greetings: usize,
    /// Whether the listener is registered.
    accepting: bool,
    accept_again: Option<Instant>,
    listener_token: u64,
}

impl Muxer {
    pub(super) fn new(guest_cid: u64, host: Arc<VsockHost>, listener_token: u64) -> Self {
        Self {
            guest_cid,
            host,
            table: Table::default(),
            resets: VecDeque::new(),
            next_port: FIRST_HOST_PORT,
            greetings: 0,
            accepting: false,
            accept_again: None,
            listener_token,
        }
    }

    pub(super) fn guest_cid(&self) -> u64 {
        self.guest_cid
    }

    /// Whether the guest's packets have to wait until their answers have room.
    pub(super) fn choked(&self) -> bool {
        self.resets.len() >= MAX_RESETS
    }

    /// Accepts connections of host processes from now on, unless there are too many.
    pub(super) fn listen(&mut self, epoll: &Epoll) -> io::Result<()> {
        if !self.accepting {
            watch(epoll, &self.host.listener, self.listener_token)?;
            self.accepting = true;
        }
        Ok(())
    }

    /// A packet from the guest; `payload` has exactly the length that the header says.
    pub(super) fn guest_packet(&mut self, epoll: &Epoll, header: &Header, payload: GuestIovec<'_>) {
        if header.src_cid.get() != self.guest_cid || header.dst_cid.get() != HOST_CID {
            return;
        }
        let ports = header.ports();
        let operation = header.op.get();
        let index = self.table.find(ports);
        if header.kind.get() != TYPE_STREAM {
            if operation != op::RST {
                self.resets.push_back(ports);
            }
            return;
        }
        let Some(index) = index else {
            match operation {
                op::REQUEST => self.dial(epoll, header),
                op::RST => {}
                _ => self.resets.push_back(ports),
            }
            return;
        };
        let Some(Slot::Open(connection)) = self.table.get_mut(index) else {
            // Still dialing: the guest may only give up.
            self.table.remove(index);
            if operation != op::RST {
                self.resets.push_back(ports);
            }
            return;
        };
        connection.update_credit(header);
        let outcome = match operation {
            op::RESPONSE => connection.established(),
            op::RW => connection.receive(payload),
            op::CREDIT_UPDATE => Ok(()),
            op::CREDIT_REQUEST => {
                connection.announce_credit();
                Ok(())
            }
            op::SHUTDOWN => {
                if connection.guest_shutdown(header.flags.get()) {
                    self.resets.push_back(ports);
                    self.finish(index);
                    return;
                }
                Ok(())
            }
            op::RST => {
                self.finish(index);
                return;
            }
            op::REQUEST if connection.phase() == Phase::Closing => {
                // The guest forgot the old connection and uses its port again.
                self.finish(index);
                self.dial(epoll, header);
                return;
            }
            _ => Err(Violation),
        };
        match outcome {
            Ok(()) => self.settle(index),
            Err(Violation) => self.reset(index),
        }
    }

    /// A packet whose payload is not what its header says: its connection cannot go on.
    pub(super) fn malformed_packet(&mut self, header: &Header) {
        if header.src_cid.get() == self.guest_cid
            && let Some(index) = self.table.find(header.ports())
        {
            self.reset(index);
        }
    }

    /// Host processes wait to be accepted.
    pub(super) fn accept(&mut self, epoll: &Epoll) {
        loop {
            if self.greetings >= MAX_GREETINGS || self.table.len() >= MAX_SLOTS {
                self.stop_accepting(epoll, None);
                return;
            }
            match self.host.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_err() {
                        continue;
                    }
                    let slot = Slot::Greeting(Greeting::default(), OwnedFd::from(stream));
                    let Some(index) = self.table.insert(slot) else { return };
                    self.greetings += 1;
                    self.table.set_deadline(index, Some(Instant::now() + GREETING_TIME));
                    self.register(epoll, index);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR | libc::ECONNABORTED) => {}
                    Some(libc::EAGAIN) => return,
                    // No files or no memory: the connection stays in the backlog and would be reported for ever.
                    _ => {
                        self.stop_accepting(epoll, Some(Instant::now() + ACCEPT_RETRY));
                        return;
                    }
                },
            }
        }
    }

    /// News of a connection's socket.
    pub(super) fn socket_event(&mut self, token: u64, events: EventSet) {
        let Some(index) = self.table.index(token) else { return };
        match self.table.get_mut(index) {
            Some(Slot::Greeting(greeting, socket)) => match greeting.read(socket) {
                Progress::Waiting => {}
                Progress::Port(port) => self.request(index, port),
                Progress::Refused => self.drop_slot(index),
            },
            Some(Slot::Open(connection)) => {
                connection.socket_event(events);
                if connection.abandoned() {
                    self.reset(index);
                } else {
                    self.settle(index);
                }
            }
            Some(Slot::Lingering(lingering)) => {
                if !lingering.flush() {
                    self.drop_slot(index);
                }
            }
            Some(Slot::Dialing(_)) | None => {}
        }
    }

    /// Does what is due at `now`.
    pub(super) fn expire(&mut self, epoll: &Epoll, now: Instant) {
        while let Some(index) = self.table.expired(now) {
            match self.table.get_mut(index) {
                Some(Slot::Dialing(dialing)) => {
                    let dialing = *dialing;
                    self.table.remove(index);
                    self.try_dial(epoll, dialing, now);
                }
                Some(Slot::Open(connection)) => match connection.phase() {
                    Phase::Requested => self.reset(index),
                    Phase::Closing => self.finish(index),
                    Phase::Established => {}
                },
                Some(Slot::Greeting(..) | Slot::Lingering(_)) => self.drop_slot(index),
                None => {}
            }
        }
    }

    /// Accepts again if that was stopped and there is room now. To be called after everything that makes room.
    pub(super) fn resume_accepting(&mut self, epoll: &Epoll, now: Instant) {
        let room = self.greetings < MAX_GREETINGS && self.table.len() < MAX_SLOTS;
        if !self.accepting && room && self.accept_again.is_none_or(|at| at <= now) {
            // Without epoll there is no device; the next round tries again.
            self.accept_again = self.listen(epoll).err().map(|_| now + ACCEPT_RETRY);
        }
    }

    /// When [`Self::expire`] has to be called next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let accept = if self.accepting { None } else { self.accept_again };
        [self.table.next_deadline(), accept].into_iter().flatten().min()
    }

    /// Ends all connections without a word to the guest, which knows that they are gone (transport reset).
    pub(super) fn forget_all(&mut self) {
        self.resets.clear();
        for index in self.table.indexes() {
            match self.table.get_mut(index) {
                Some(Slot::Open(_)) => self.finish(index),
                Some(Slot::Dialing(_)) => self.drop_slot(index),
                Some(Slot::Greeting(..) | Slot::Lingering(_)) | None => {}
            }
        }
    }

    /// A packet went out or came in: queue the connection if it has something to say, set its deadline.
    pub(super) fn settle(&mut self, index: usize) {
        let Some(Slot::Open(connection)) = self.table.get_mut(index) else { return };
        let wants = connection.wants_to_send();
        let phase = connection.phase();
        match phase {
            Phase::Closing => self.table.set_deadline(index, Some(Instant::now() + CLOSING_TIME)),
            Phase::Established => self.table.set_deadline(index, None),
            Phase::Requested => {}
        }
        if wants {
            self.table.enqueue(index);
        }
    }

    /// The guest asks for a host port.
    fn dial(&mut self, epoll: &Epoll, header: &Header) {
        let now = Instant::now();
        let dialing = Dialing { ports: header.ports(), give_up: now + DIAL_TIME, request: *header };
        self.try_dial(epoll, dialing, now);
    }

    fn try_dial(&mut self, epoll: &Epoll, dialing: Dialing, now: Instant) {
        let ports = dialing.ports;
        if self.table.len() >= MAX_SLOTS {
            self.resets.push_back(ports);
            return;
        }
        let (slot, deadline) = match dial(&self.host.connect_base, ports.host) {
            Ok(socket) => {
                let mut connection = Connection::from_guest(ports, socket, Credit::new(self.window()));
                connection.update_credit(&dialing.request);
                (Slot::Open(connection), None)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && now < dialing.give_up => {
                (Slot::Dialing(dialing), Some(now + DIAL_RETRY))
            }
            Err(_) => {
                self.resets.push_back(ports);
                return;
            }
        };
        let Some(index) = self.table.insert(slot) else { return };
        self.table.name(ports, index);
        self.table.set_deadline(index, deadline);
        self.register(epoll, index);
        self.settle(index);
    }

    /// A host process has said which port of the guest it wants.
    fn request(&mut self, index: usize, guest: u32) {
        self.greetings = self.greetings.saturating_sub(1);
        let ports = self.free_ports(guest);
        let credit = Credit::new(self.window());
        self.table.transform(index, |slot| match slot {
            Slot::Greeting(_, socket) => Some(Slot::Open(Connection::from_host(ports, socket, credit))),
            other => Some(other),
        });
        self.table.name(ports, index);
        self.table.set_deadline(index, Some(Instant::now() + REQUEST_TIME));
        self.table.enqueue(index);
    }

    /// A host port that makes a new name with this guest port.
    fn free_ports(&mut self, guest: u32) -> Ports {
        loop {
            let host = self.next_port;
            self.next_port = host.checked_add(1).filter(|port| *port != u32::MAX).unwrap_or(FIRST_HOST_PORT);
            let ports = Ports { guest, host };
            // At most MAX_SLOTS names are taken.
            if self.table.find(ports).is_none() {
                return ports;
            }
        }
    }

    /// The connection is over for the guest; the host still gets what it has not read.
    fn finish(&mut self, index: usize) {
        let Some(Slot::Open(connection)) = self.table.get_mut(index) else { return };
        let ports = connection.ports;
        self.table.unname(ports);
        self.table.set_deadline(index, None);
        self.table.transform(index, |slot| match slot {
            Slot::Open(connection) => connection.linger().map(Slot::Lingering),
            other => Some(other),
        });
    }

    /// The connection cannot go on: RST.
    fn reset(&mut self, index: usize) {
        if let Some(Slot::Open(connection)) = self.table.remove(index) {
            self.resets.push_back(connection.ports);
        }
    }

    fn drop_slot(&mut self, index: usize) {
        match self.table.remove(index) {
            Some(Slot::Greeting(_, socket)) => {
                self.greetings = self.greetings.saturating_sub(1);
                close_gently(&socket);
            }
            Some(Slot::Lingering(lingering)) => close_gently(lingering.socket()),
            Some(Slot::Open(_) | Slot::Dialing(_)) | None => {}
        }
    }

    /// Watches a slot's socket; without that it could only hang, so it goes.
    fn register(&mut self, epoll: &Epoll, index: usize) {
        let token = self.table.token(index);
        let socket = match self.table.get_mut(index) {
            Some(Slot::Greeting(_, socket)) => socket,
            Some(Slot::Open(connection)) => connection.socket(),
            Some(Slot::Dialing(_) | Slot::Lingering(_)) | None => return,
        };
        let events = EventSet::IN | EventSet::OUT | EventSet::READ_HANG_UP;
        if watch_edges(epoll, socket, events, token).is_err() {
            match self.table.get_mut(index) {
                Some(Slot::Open(_)) => self.reset(index),
                _ => self.drop_slot(index),
            }
        }
    }

    fn stop_accepting(&mut self, epoll: &Epoll, again: Option<Instant>) {
        let listener = self.host.listener.as_raw_fd();
        // It was registered, so this cannot fail.
        let _ = epoll.ctl(ControlOperation::Delete, listener, EpollEvent::default());
        self.accepting = false;
        self.accept_again = again;
    }

    /// Credit of a new connection: many connections get less each, so that all together stay below 50 MiB.
    fn window(&self) -> u32 {
        match self.table.len() {
            0..16 => 512 * 1024,
            16..128 => 128 * 1024,
            _ => 32 * 1024,
        }
    }
}
