//! Flow control of one connection (virtio 1.2, section 5.10.6.3), both ways. All counters wrap at 2^32.

use std::num::Wrapping;

use super::packet::Header;

/// What each side may still send.
#[derive(Debug)]
pub(super) struct Credit {
    /// Bytes that we take beyond what was forwarded.
    buf_alloc: u32,
    received: Wrapping<u32>,
    forwarded: Wrapping<u32>,
    /// `forwarded` as the guest knows it.
    announced: Wrapping<u32>,
    guest_buf_alloc: u32,
    guest_forwarded: Wrapping<u32>,
    sent: Wrapping<u32>,
}

impl Credit {
    /// `buf_alloc` is the number of bytes that the guest may have in flight.
    pub(super) fn new(buf_alloc: u32) -> Self {
        Self {
            buf_alloc,
            received: Wrapping(0),
            forwarded: Wrapping(0),
            announced: Wrapping(0),
            guest_buf_alloc: 0,
            guest_forwarded: Wrapping(0),
            sent: Wrapping(0),
        }
    }

    /// Every packet carries the guest's side.
    pub(super) fn update(&mut self, header: &Header) {
        self.guest_buf_alloc = header.buf_alloc.get();
        self.guest_forwarded = Wrapping(header.fwd_cnt.get());
    }

    /// Bytes that we may send now. A guest that claims to have forwarded what was never sent gets nothing.
    pub(super) fn to_guest(&self) -> usize {
        let in_flight = (self.sent - self.guest_forwarded).0;
        self.guest_buf_alloc.saturating_sub(in_flight) as usize
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u32;
    }

    /// Takes `bytes` from the guest; false if it had no credit for them.
    #[must_use]
    pub(super) fn receive(&mut self, bytes: usize) -> bool {
        let in_flight = (self.received - self.forwarded).0 as usize;
        if in_flight.saturating_add(bytes) > self.buf_alloc as usize {
            return false;
        }
        self.received += bytes as u32;
        true
    }

    /// Received bytes have left for the host, or were thrown away.
    pub(super) fn forwarded(&mut self, bytes: usize) {
        self.forwarded += bytes as u32;
    }

    /// Whether the guest should be told: at half, so that a sender at full speed neither stalls nor is flooded.
    pub(super) fn update_due(&self) -> bool {
        (self.forwarded - self.announced).0 >= self.buf_alloc / 2
    }

    /// Writes our side into a packet that goes out now.
    pub(super) fn announce(&mut self, header: &mut Header) {
        self.announced = self.forwarded;
        header.buf_alloc = self.buf_alloc.into();
        header.fwd_cnt = self.forwarded.0.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest_says(buf_alloc: u32, fwd_cnt: u32) -> Header {
        Header { buf_alloc: buf_alloc.into(), fwd_cnt: fwd_cnt.into(), ..Header::default() }
    }

    #[test]
    fn the_guest_gets_what_it_has_room_for() {
        let mut credit = Credit::new(100);
        assert_eq!(credit.to_guest(), 0);
        credit.update(&guest_says(1000, 0));
        credit.sent(600);
        assert_eq!(credit.to_guest(), 400);
        credit.update(&guest_says(1000, 600));
        assert_eq!(credit.to_guest(), 1000);
        credit.update(&guest_says(100, 0));
        assert_eq!(credit.to_guest(), 0, "a buffer that shrank below what is in flight");
        credit.update(&guest_says(1000, 601));
        assert_eq!(credit.to_guest(), 0, "forwarded what was never sent");
    }

    #[test]
    fn counters_wrap() {
        let mut credit = Credit::new(1 << 20);
        for _ in 0..5000 {
            assert!(credit.receive(1 << 20));
            assert!(!credit.receive(1));
            credit.forwarded(1 << 20);
            credit.sent(1 << 20);
        }
        credit.update(&guest_says(10, (5000_u32 << 20).wrapping_sub(4)));
        assert_eq!(credit.to_guest(), 6);
        let mut header = Header::default();
        credit.announce(&mut header);
        assert_eq!(header.fwd_cnt.get(), 5000_u32.wrapping_mul(1 << 20));
    }

    #[test]
    fn updates_are_due_at_half() {
        let mut credit = Credit::new(100);
        assert!(credit.receive(100));
        credit.forwarded(49);
        assert!(!credit.update_due());
        credit.forwarded(1);
        assert!(credit.update_due());
        credit.announce(&mut Header::default());
        assert!(!credit.update_due());
    }
}
