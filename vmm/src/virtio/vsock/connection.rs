//! One connection: what each side may still do, and the bytes in between.
//!
//! Knows neither queues nor other connections. The socket is registered edge-triggered, so `readable` and
//! `writable` stay true until a system call says otherwise.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use vmm_sys_util::epoll::EventSet;

use super::buffer::Buffer;
use super::credit::Credit;
use super::packet::{Header, Ports, SHUTDOWN_BOTH, SHUTDOWN_RCV, SHUTDOWN_SEND, op};
use crate::virtio::guest_iovec::GuestIovec;

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The guest was asked, or will be; its RESPONSE is missing.
    Requested,
    Established,
    /// The host is gone and the guest knows; its RST is missing.
    Closing,
}

/// The guest broke the protocol; the answer is RST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation;

/// A connection whose socket is open.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four directions open or closed, and edges seen: all independent"
)]
pub(super) struct Connection {
    pub(super) ports: Ports,
    pub(super) credit: Credit,
    phase: Phase,
    socket: OwnedFd,
    /// From the guest, on its way to the host.
    buffer: Buffer,
    readable: bool,
    writable: bool,
    /// The host may have shut down its sending side: a short read is not the last one.
    hung_up: bool,
    guest_sends: bool,
    guest_receives: bool,
    host_sends: bool,
    host_receives: bool,
    /// REQUEST or RESPONSE, the first packet of a connection.
    opening_due: Option<u16>,
    shutdown_due: u32,
    shutdown_sent: u32,
    credit_due: bool,
    credit_requested: bool,
}

impl Connection {
    /// The guest's REQUEST reached a host socket.
    pub(super) fn from_guest(ports: Ports, socket: OwnedFd, credit: Credit) -> Self {
        Self::new(ports, socket, credit, Phase::Established, op::RESPONSE)
    }

    /// A host process asks for a guest port.
    pub(super) fn from_host(ports: Ports, socket: OwnedFd, credit: Credit) -> Self {
        // An edge may have gone by while the first line was read.
        Self { hung_up: true, ..Self::new(ports, socket, credit, Phase::Requested, op::REQUEST) }
    }

    fn new(ports: Ports, socket: OwnedFd, credit: Credit, phase: Phase, opening: u16) -> Self {
        Self {
            ports,
            credit,
            phase,
            socket,
            buffer: Buffer::default(),
            readable: true,
            writable: true,
            hung_up: false,
            guest_sends: true,
            guest_receives: true,
            host_sends: true,
            host_receives: true,
            opening_due: Some(opening),
            shutdown_due: 0,
            shutdown_sent: 0,
            credit_due: false,
            credit_requested: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// The host process ended before the guest had answered.
    pub(super) fn abandoned(&self) -> bool {
        self.phase == Phase::Requested && !self.host_receives
    }

    /// The guest accepted: the host process is told its own port.
    pub(super) fn established(&mut self) -> Result<(), Violation> {
        if self.phase != Phase::Requested || self.opening_due.is_some() {
            return Err(Violation);
        }
        self.phase = Phase::Established;
        let line = format!("OK {}\n", self.ports.host);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // Nothing was written to this socket before, so the line fits unless the process is gone.
        if send(&self.socket, line.as_bytes(), flags) != Ok(line.len()) {
            self.host_gone();
        }
        Ok(())
    }

    /// The guest's side of the credit, part of each of its packets.
    pub(super) fn update_credit(&mut self, header: &Header) {
        self.credit.update(header);
        if self.credit.to_guest() > 0 {
            self.credit_requested = false;
        }
    }

    /// The guest wants to know its credit.
    pub(super) fn announce_credit(&mut self) {
        self.credit_due = true;
    }

    /// Data from the guest: to the socket at once, or into the buffer.
    pub(super) fn receive(&mut self, mut payload: GuestIovec<'_>) -> Result<(), Violation> {
        if self.phase == Phase::Closing {
            return Ok(());
        }
        if self.phase != Phase::Established || !self.guest_sends || !self.credit.receive(payload.len()) {
            return Err(Violation);
        }
        if self.writable && self.host_receives && self.buffer.is_empty() && !payload.is_empty() {
            match payload.send(&self.socket) {
                Ok(sent) => {
                    self.credit.forwarded(sent);
                    payload.advance(sent);
                    self.writable = payload.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(_) => self.host_gone(),
            }
        }
        if self.host_receives {
            self.buffer.push(payload);
        } else {
            self.credit.forwarded(payload.len());
        }
        Ok(())
    }

    /// The guest's SHUTDOWN; true if nothing can come or go any more.
    pub(super) fn guest_shutdown(&mut self, flags: u32) -> bool {
        if flags & SHUTDOWN_SEND != 0 && self.guest_sends {
            self.guest_sends = false;
            self.finish_sending();
        }
        if flags & SHUTDOWN_RCV != 0 && self.guest_receives {
            self.guest_receives = false;
            self.host_sends = false;
            // The host process shall get EPIPE instead of filling a socket that nobody reads.
            let _ = shutdown(&self.socket, Shutdown::Read);
        }
        !self.guest_sends && !self.guest_receives
    }

    /// News of the socket.
    pub(super) fn socket_event(&mut self, events: EventSet) {
        if events.intersects(EventSet::IN | EventSet::READ_HANG_UP | EventSet::HANG_UP | EventSet::ERROR) {
            self.readable = true;
        }
        if events.intersects(EventSet::READ_HANG_UP | EventSet::HANG_UP | EventSet::ERROR) {
            self.hung_up = true;
        }
        if events.intersects(EventSet::HANG_UP | EventSet::ERROR) {
            self.host_gone();
        } else if events.contains(EventSet::OUT) {
            self.writable = true;
            self.flush();
        }
    }

    /// The packet that has to go out before data: operation and flags.
    pub(super) fn control_due(&self) -> Option<(u16, u32)> {
        if let Some(opening) = self.opening_due {
            return Some((opening, 0));
        }
        if self.phase != Phase::Established {
            return None;
        }
        // Where the host is gone for good, the two halves go out together once its data is read. A guest that still
        // sends is told earlier if reading stalls, and one that does not has no use for that.
        let both_known = self.shutdown_due & SHUTDOWN_SEND != 0;
        let stalled = self.data_room() == 0 && self.guest_sends;
        if self.shutdown_due & !self.shutdown_sent != 0 && (both_known || stalled) {
            return Some((op::SHUTDOWN, self.shutdown_due));
        }
        if self.guest_sends && (self.credit_due || self.credit.update_due()) {
            return Some((op::CREDIT_UPDATE, 0));
        }
        let no_credit = self.readable && self.host_sends && self.credit.to_guest() == 0;
        (no_credit && !self.credit_requested).then_some((op::CREDIT_REQUEST, 0))
    }

    /// A packet of this connection went out, with our side of the credit in it.
    pub(super) fn packet_sent(&mut self, operation: u16) {
        self.credit_due = false;
        match operation {
            op::REQUEST | op::RESPONSE => self.opening_due = None,
            op::CREDIT_REQUEST => self.credit_requested = true,
            op::SHUTDOWN => {
                self.shutdown_sent = self.shutdown_due;
                if self.shutdown_sent == SHUTDOWN_BOTH {
                    self.phase = Phase::Closing;
                }
            }
            _ => {}
        }
    }

    /// How many bytes can be read for the guest now, as far as known.
    pub(super) fn data_room(&self) -> usize {
        let open = self.phase == Phase::Established && self.opening_due.is_none();
        if open && self.readable && self.host_sends { self.credit.to_guest() } else { 0 }
    }

    /// Whether a packet should go to the guest.
    pub(super) fn wants_to_send(&self) -> bool {
        self.control_due().is_some() || self.data_room() > 0
    }

    /// Reads from the host into guest buffers, which must not be empty; returns the number of bytes.
    pub(super) fn read(&mut self, buffers: &GuestIovec<'_>) -> usize {
        match buffers.receive(&self.socket) {
            Ok(0) => {
                self.host_sends = false;
                self.shutdown_due |= SHUTDOWN_SEND;
                0
            }
            Ok(count) => {
                // A short read has emptied the socket; what comes later, even the end, is a new edge.
                self.readable = self.hung_up || count == buffers.len();
                self.credit.sent(count);
                count
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                self.hung_up = false;
                0
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => {
                self.host_sends = false;
                self.shutdown_due |= SHUTDOWN_SEND;
                self.host_gone();
                0
            }
        }
    }

    /// Takes what is left for the host out of a connection that is over for the guest; `None` if there is nothing.
    pub(super) fn linger(self) -> Option<Lingering> {
        let lingering = Lingering { socket: self.socket, buffer: self.buffer };
        if self.host_receives && !lingering.buffer.is_empty() {
            return Some(lingering);
        }
        close_gently(&lingering.socket);
        None
    }

    fn flush(&mut self) {
        while self.writable && self.host_receives && !self.buffer.is_empty() {
            match self.buffer.send(&self.socket) {
                Ok(sent) => self.credit.forwarded(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(_) => self.host_gone(),
            }
        }
        self.finish_sending();
    }

    /// Half close towards the host once everything is written.
    fn finish_sending(&mut self) {
        if !self.guest_sends && self.host_receives && self.buffer.is_empty() {
            let _ = shutdown(&self.socket, Shutdown::Write);
        }
    }

    /// Nobody takes the guest's data any more.
    fn host_gone(&mut self) {
        if self.host_receives {
            self.host_receives = false;
            self.credit.forwarded(self.buffer.len());
            self.buffer = Buffer::default();
            self.shutdown_due |= SHUTDOWN_RCV;
        }
    }
}

/// Data of a guest that has closed, for a host process that is slow. It may take as long as the process lives.
#[derive(Debug)]
pub(super) struct Lingering {
    socket: OwnedFd,
    buffer: Buffer,
}

impl Lingering {
    /// Writes what the socket takes; false when there is nothing more to do.
    pub(super) fn flush(&mut self) -> bool {
        while !self.buffer.is_empty() {
            match self.buffer.send(&self.socket) {
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        false
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }
}

/// Makes the host process read the end of the stream, not ECONNRESET, when the socket is dropped after this.
///
/// A unix socket that is closed with unread bytes resets its peer (unix_release_sock), so they are read.
pub(super) fn close_gently(socket: &OwnedFd) {
    let _ = shutdown(socket, Shutdown::Read);
    let mut waste = [0_u8; 16 * 1024];
    // Nothing can be added after the shutdown, so this ends: it is at most one socket buffer.
    while matches!(recv(socket, &mut waste[..], RecvFlags::DONTWAIT), Ok((count, _)) if count > 0) {}
}
