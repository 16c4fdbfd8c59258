//! The few PC devices a kernel without ACPI cannot do without.

pub mod console;
pub mod i8042;
pub mod serial;

/// COM1.
pub const SERIAL_PORT: u64 = 0x3f8;
pub const SERIAL_PORTS: u64 = 8;
