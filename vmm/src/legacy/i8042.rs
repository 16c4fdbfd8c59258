//! The keyboard controller's one use in a microVM: Linux resets the machine through it (`reboot=k`).

use crate::bus::{BusDevice, Outcome};
use crate::control::ExitReason;

/// First port of the controller.
pub const PORT: u64 = 0x60;
/// Ports 0x60 (data) to 0x64 (status, command).
pub const PORTS: u64 = 5;

const COMMAND: u64 = 4;
/// Pulse the reset line (bit 0 low).
const PULSE_RESET: u8 = 0xfe;

/// No keyboard, no mouse: never busy, never any data.
#[derive(Debug)]
pub struct I8042;

impl BusDevice for I8042 {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&self, offset: u64, data: &[u8]) -> Outcome {
        if offset == COMMAND && data.first() == Some(&PULSE_RESET) {
            Outcome::Stop(ExitReason::Reset)
        } else {
            Outcome::Continue
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reset_command_stops_the_machine() {
        assert_eq!(I8042.write(4, &[0xfe]), Outcome::Stop(ExitReason::Reset));
        assert_eq!(I8042.write(4, &[0xff]), Outcome::Continue);
        assert_eq!(I8042.write(0, &[0xfe]), Outcome::Continue);
        assert_eq!(I8042.write(4, &[]), Outcome::Continue);
    }
}
