//! The device status as a state machine (virtio 1.2, sections 2.1 and 3.1.1).

pub(super) const ACKNOWLEDGE: u32 = 1;
pub(super) const DRIVER: u32 = 2;
pub(super) const DRIVER_OK: u32 = 4;
pub(super) const FEATURES_OK: u32 = 8;
pub(super) const NEEDS_RESET: u32 = 64;
pub(super) const FAILED: u32 = 128;

/// VIRTIO_F_VERSION_1: a driver without it is a legacy driver, which this transport cannot serve.
pub(super) const FEATURE_VERSION_1: u64 = 1 << 32;

/// Bits of the register.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    bits: u32,
    activated: bool,
}

/// What a write to the register asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// DRIVER_OK was set just now.
    Activate,
}

impl Status {
    pub(super) fn bits(self) -> u32 {
        self.bits
    }

    /// The driver writes `value`, not 0: exactly the next bit is accepted, in order. FAILED sticks at any time.
    pub(super) fn advance(&mut self, value: u32, features_acceptable: bool) -> Step {
        if value & FAILED != 0 {
            self.bits |= FAILED;
            return Step::Nothing;
        }
        let ordered = [ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK];
        let progress = self.bits & (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        let Some(next) = ordered.into_iter().find(|bit| progress & bit == 0) else { return Step::Nothing };
        if self.bits & (FAILED | NEEDS_RESET) != 0 || value != progress | next {
            return Step::Nothing;
        }
        // The driver reads the register back to see whether its choice was taken.
        if next == FEATURES_OK && !features_acceptable {
            return Step::Nothing;
        }
        self.bits |= next;
        if next == DRIVER_OK {
            self.activated = true;
            return Step::Activate;
        }
        Step::Nothing
    }

    /// The device cannot go on until it is reset.
    pub(super) fn needs_reset(&mut self) {
        self.bits |= NEEDS_RESET;
    }

    /// The device was told to start since the last reset.
    pub(super) fn was_activated(self) -> bool {
        self.activated
    }

    pub(super) fn has_driver(self) -> bool {
        self.bits & DRIVER != 0
    }

    /// Between DRIVER and FEATURES_OK.
    pub(super) fn may_negotiate(self) -> bool {
        self.bits == ACKNOWLEDGE | DRIVER
    }

    /// Between FEATURES_OK and DRIVER_OK: never while the device runs (CVE-2026-5747).
    pub(super) fn may_set_up_queues(self) -> bool {
        self.bits == ACKNOWLEDGE | DRIVER | FEATURES_OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: u32 = ACKNOWLEDGE | DRIVER | FEATURES_OK;

    #[test]
    fn the_proper_order_activates_once() {
        let mut status = Status::default();
        assert_eq!(status.advance(ACKNOWLEDGE, true), Step::Nothing);
        assert_eq!(status.advance(ACKNOWLEDGE | DRIVER, true), Step::Nothing);
        assert!(status.may_negotiate() && !status.may_set_up_queues());
        assert_eq!(status.advance(READY, true), Step::Nothing);
        assert!(!status.may_negotiate() && status.may_set_up_queues());
        assert_eq!(status.advance(READY | DRIVER_OK, true), Step::Activate);
        assert!(!status.may_set_up_queues());
        assert_eq!(status.advance(READY | DRIVER_OK, true), Step::Nothing);
    }

    #[test]
    fn jumps_are_ignored() {
        let mut status = Status::default();
        for value in [DRIVER, READY | DRIVER_OK, DRIVER_OK, 0xffff_ff7f, NEEDS_RESET] {
            assert_eq!(status.advance(value, true), Step::Nothing);
            assert_eq!(status.bits(), 0);
        }
    }

    #[test]
    fn bad_features_and_failure_stop_the_way() {
        let mut status = Status::default();
        status.advance(ACKNOWLEDGE, true);
        status.advance(ACKNOWLEDGE | DRIVER, true);
        status.advance(READY, false);
        assert_eq!(status.bits(), ACKNOWLEDGE | DRIVER);
        status.advance(FAILED, true);
        status.advance(READY, true);
        assert_eq!(status.bits(), ACKNOWLEDGE | DRIVER | FAILED);
    }
}
