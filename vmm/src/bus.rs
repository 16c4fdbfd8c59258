//! Dispatches a guest's port and memory accesses to the device that owns the address.
//!
//! An address that nobody owns reads as all ones and swallows writes, as on a PC.

use std::sync::Arc;

use crate::control::ExitReason;

/// What an access means for the machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Continue,
    Stop(ExitReason),
}

/// A device on a port or memory bus. Called by any vCPU at any time with any offset in its range.
pub trait BusDevice: Send + Sync {
    /// Fills `data` completely.
    fn read(&self, offset: u64, data: &mut [u8]);
    fn write(&self, offset: u64, data: &[u8]) -> Outcome;
}

struct Range {
    base: u64,
    len: u64,
    device: Arc<dyn BusDevice>,
}

/// One address space. Built before the first vCPU runs and never changed after.
#[derive(Default)]
pub struct Bus {
    /// Sorted by base, without overlap.
    ranges: Vec<Range>,
}

#[derive(Debug, thiserror::Error)]
#[error("devices overlap at bus address {0:#x}")]
pub struct Overlap(u64);

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ranges.iter().map(|r| (r.base, r.len))).finish()
    }
}

impl Bus {
    /// Adds a device.
    ///
    /// # Errors
    /// If the range is taken already.
    pub fn add(&mut self, base: u64, len: u64, device: Arc<dyn BusDevice>) -> Result<(), Overlap> {
        let at = self.ranges.partition_point(|r| r.base < base);
        let overlaps = |a: &Range, base: u64| base - a.base < a.len;
        if at.checked_sub(1).and_then(|i| self.ranges.get(i)).is_some_and(|before| overlaps(before, base))
            || self.ranges.get(at).is_some_and(|after| after.base - base < len)
        {
            return Err(Overlap(base));
        }
        self.ranges.insert(at, Range { base, len, device });
        Ok(())
    }

    pub fn read(&self, address: u64, data: &mut [u8]) {
        match self.find(address) {
            Some((device, offset)) => device.read(offset, data),
            None => data.fill(0xff),
        }
    }

    pub fn write(&self, address: u64, data: &[u8]) -> Outcome {
        self.find(address).map_or(Outcome::Continue, |(device, offset)| device.write(offset, data))
    }

    fn find(&self, address: u64) -> Option<(&dyn BusDevice, u64)> {
        let at = self.ranges.partition_point(|r| r.base <= address).checked_sub(1)?;
        let range = self.ranges.get(at)?;
        let offset = address - range.base;
        (offset < range.len).then_some((&*range.device, offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo(u8);

    impl BusDevice for Echo {
        fn read(&self, offset: u64, data: &mut [u8]) {
            data.fill(self.0 + offset as u8);
        }
        fn write(&self, _offset: u64, _data: &[u8]) -> Outcome {
            Outcome::Stop(ExitReason::Reset)
        }
    }

    fn read(bus: &Bus, address: u64) -> u8 {
        let mut data = [0];
        bus.read(address, &mut data);
        data[0]
    }

    #[test]
    fn finds_the_owner_and_answers_ones_elsewhere() {
        let mut bus = Bus::default();
        bus.add(0x100, 8, Arc::new(Echo(0x40))).unwrap();
        bus.add(0x10, 1, Arc::new(Echo(0x20))).unwrap();
        assert_eq!(read(&bus, 0x10), 0x20);
        assert_eq!(read(&bus, 0x11), 0xff);
        assert_eq!(read(&bus, 0xf), 0xff);
        assert_eq!(read(&bus, 0x107), 0x47);
        assert_eq!(read(&bus, 0x108), 0xff);
        assert_eq!(bus.write(0x100, &[0]), Outcome::Stop(ExitReason::Reset));
        assert_eq!(bus.write(u64::MAX, &[0]), Outcome::Continue);
    }

    #[test]
    fn overlaps_are_refused() {
        let mut bus = Bus::default();
        bus.add(0x100, 8, Arc::new(Echo(0))).unwrap();
        assert!(bus.add(0x107, 1, Arc::new(Echo(0))).is_err());
        assert!(bus.add(0xf9, 8, Arc::new(Echo(0))).is_err());
        assert!(bus.add(0x100, 1, Arc::new(Echo(0))).is_err());
        bus.add(0xf8, 8, Arc::new(Echo(0))).unwrap();
        bus.add(0x108, 8, Arc::new(Echo(0))).unwrap();
    }
}
