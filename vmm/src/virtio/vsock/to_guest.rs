//! Fills the guest's receive buffers: RSTs first, then the connections in turn.

use super::connection::Connection;
use super::muxer::Muxer;
use super::packet::{HEADER_LEN, Header, MAX_PAYLOAD, op};
use super::table::Slot;
use crate::virtio::device::GuestRam;
use crate::virtio::device_queue::{BadChain, Chain, DeviceQueue};
use crate::virtio::guest_iovec::{GuestIovec, MAX_BUFFERS};
use zerocopy::IntoBytes;

/// Connections served in one round.
const TURNS: usize = 32;
/// Bytes of one connection's turn.
const TURN_BYTES: usize = 128 * 1024;
/// Useless buffers thrown away before the worker looks for other events.
const MAX_USELESS: usize = 128;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Nothing (more) to send.
    Idle,
    /// More to send, and perhaps buffers for it.
    Busy,
    /// More to send and no buffers: wait for the guest.
    Starved,
}

/// A round over everybody who wants to send.
pub(super) fn fill(muxer: &mut Muxer, memory: &GuestRam, rx: &mut DeviceQueue) -> Round {
    while let Some(&ports) = muxer.resets.front() {
        let Some(chain) = next_buffer(memory, rx, HEADER_LEN) else { return no_buffer(memory, rx) };
        muxer.resets.pop_front();
        let header = Header::to_guest(muxer.guest_cid(), ports, op::RST);
        send_header(memory, rx, &chain, &header);
    }
    let cid = muxer.guest_cid();
    for _ in 0..TURNS {
        let Some(index) = muxer.table.dequeue() else { return Round::Idle };
        let Some(Slot::Open(connection)) = muxer.table.get_mut(index) else { continue };
        let served = serve(connection, cid, memory, rx);
        muxer.settle(index);
        if !served {
            // Its turn is not over: it goes on where it was stopped.
            muxer.table.requeue_first(index);
            return no_buffer(memory, rx);
        }
    }
    if muxer.table.has_ready() { Round::Busy } else { Round::Idle }
}

/// One connection's turn; false if there was no buffer for what it has to send.
fn serve(connection: &mut Connection, cid: u64, memory: &GuestRam, rx: &mut DeviceQueue) -> bool {
    while let Some((operation, flags)) = connection.control_due() {
        let Some(chain) = next_buffer(memory, rx, HEADER_LEN) else { return false };
        let mut header = Header::to_guest(cid, connection.ports, operation);
        header.flags = flags.into();
        connection.credit.announce(&mut header);
        send_header(memory, rx, &chain, &header);
        connection.packet_sent(operation);
    }
    let room = connection.data_room().min(TURN_BYTES);
    room == 0 || send_data(connection, cid, room, memory, rx)
}

/// Reads from the socket into as many buffers as `room` needs with one system call.
fn send_data(
    connection: &mut Connection,
    cid: u64,
    room: usize,
    memory: &GuestRam,
    rx: &mut DeviceQueue,
) -> bool {
    let mut chains: Vec<(Chain<'_>, usize)> = Vec::new();
    let mut payload = GuestIovec::default();
    while payload.len() < room {
        let chain = if chains.is_empty() {
            next_buffer(memory, rx, HEADER_LEN + 1)
        } else {
            // Useless buffers in the middle stay where they are, so that the unused ones can be given back.
            next_good(memory, rx, payload.buffers())
        };
        let Some(chain) = chain else { break };
        let mut part = chain.writable.clone();
        part.advance(HEADER_LEN);
        part.truncate(MAX_PAYLOAD.min(room - payload.len()));
        payload.append(&part);
        chains.push((chain, part.len()));
    }
    if chains.is_empty() {
        return false;
    }
    let mut left = connection.read(&payload);
    let mut unused = 0;
    for (chain, capacity) in &chains {
        if left == 0 {
            unused += 1;
            continue;
        }
        let len = left.min(*capacity);
        left -= len;
        let mut header = Header::to_guest(cid, connection.ports, op::RW);
        header.len = (len as u32).into();
        connection.credit.announce(&mut header);
        chain.writable.copy_from(header.as_bytes());
        rx.complete(memory, chain.head, (HEADER_LEN + len) as u32);
        connection.packet_sent(op::RW);
    }
    rx.unpop(unused);
    true
}

fn send_header(memory: &GuestRam, rx: &mut DeviceQueue, chain: &Chain<'_>, header: &Header) {
    chain.writable.copy_from(header.as_bytes());
    rx.complete(memory, chain.head, HEADER_LEN as u32);
}

/// The next buffer of at least `len` bytes; smaller ones go back empty.
fn next_buffer<'m>(memory: &'m GuestRam, rx: &mut DeviceQueue, len: usize) -> Option<Chain<'m>> {
    for _ in 0..MAX_USELESS {
        match rx.pop(memory)? {
            Ok(chain) if chain.writable.len() >= len => return Some(chain),
            Ok(Chain { head, .. }) | Err(BadChain { head }) => rx.complete(memory, head, 0),
        }
    }
    None
}

/// The next buffer if it is of use and one system call can take it besides `taken` others.
fn next_good<'m>(memory: &'m GuestRam, rx: &mut DeviceQueue, taken: usize) -> Option<Chain<'m>> {
    match rx.pop(memory)? {
        Ok(chain) if chain.writable.len() > HEADER_LEN && chain.writable.buffers() + taken <= MAX_BUFFERS => {
            Some(chain)
        }
        _ => {
            rx.unpop(1);
            None
        }
    }
}

fn no_buffer(memory: &GuestRam, rx: &mut DeviceQueue) -> Round {
    if rx.has_more(memory) { Round::Busy } else { Round::Starved }
}
