use virtio_bindings::bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;

use super::Rng;
use crate::virtio::device::VirtioDevice;
use crate::virtio::test_utils::{
    MockDriver, assert_interrupts_are_suppressed, publish_hostile_chains, readable, writable,
};

#[test]
fn fills_the_buffers_with_random_bytes() {
    let mut rng = Rng::new();
    let mut driver = MockDriver::start(&mut rng);
    let (a, b) = (driver.alloc(64), driver.alloc(64));
    assert_eq!(driver.request(0, &[writable(a, 64), writable(b, 32)]), 96);
    // 64 bytes are all zero, or equal to others, once in 2^512.
    assert_ne!(driver.bytes(a, 64), vec![0; 64]);
    assert_ne!(driver.bytes(b, 32), vec![0; 32]);
    assert_ne!(driver.bytes(a, 32), driver.bytes(b, 32));
    assert_eq!(driver.bytes(b + 32, 32), vec![0; 32], "bytes after the buffer are untouched");
}

#[test]
fn a_huge_request_is_answered_in_part() {
    let mut rng = Rng::new();
    let mut driver = MockDriver::start(&mut rng);
    let buffer = driver.alloc(1 << 20);
    assert_eq!(driver.request(0, &[writable(buffer, 1 << 20)]), 64 * 1024);
    assert_eq!(driver.bytes(buffer + 64 * 1024, 64), vec![0; 64]);
}

#[test]
fn buffers_that_the_device_may_not_write_stay_as_they_are() {
    let mut rng = Rng::new();
    let mut driver = MockDriver::start(&mut rng);
    let buffer = driver.alloc(64);
    assert_eq!(driver.request(0, &[readable(buffer, 64)]), 0);
    assert_eq!(driver.bytes(buffer, 64), vec![0; 64]);
}

#[test]
fn hostile_chains_are_completed_empty_and_the_device_lives_on() {
    let mut rng = Rng::new();
    let mut driver = MockDriver::start(&mut rng);
    let count = publish_hostile_chains(&mut driver, 0);
    for _ in 0..count {
        let (_, len) = driver.wait_used(0);
        assert_eq!(len, 0);
    }
    let buffer = driver.alloc(16);
    assert_eq!(driver.request(0, &[writable(buffer, 16)]), 16);
}

#[test]
fn indirect_chains_work() {
    let mut rng = Rng::new();
    let mut driver = MockDriver::start(&mut rng);
    let (table, buffer) = (driver.alloc(64), driver.alloc(64));
    let head = driver.queues[0].add_indirect(table, &[writable(buffer, 16), writable(buffer + 16, 8)]);
    driver.queues[0].kick();
    assert_eq!(driver.wait_used(0), (head, 24));
}

#[test]
fn the_driver_decides_about_interrupts() {
    for features in [Rng::new().features(), Rng::new().features() & !(1 << VIRTIO_RING_F_EVENT_IDX)] {
        let mut rng = Rng::new();
        let mut driver = MockDriver::start_with(&mut rng, features);
        let buffer = driver.alloc(16);
        assert_interrupts_are_suppressed(&mut rng, &mut driver, 0, &[writable(buffer, 16)]);
        let mut driver = MockDriver::start_with(&mut rng, features);
        let buffer = driver.alloc(16);
        assert_eq!(
            driver.request(0, &[writable(buffer, 16)]),
            16,
            "an interrupt came: request() slept for it"
        );
    }
}

#[test]
fn reset_is_idempotent_and_works_while_busy() {
    let mut rng = Rng::new();
    rng.reset();
    let mut driver = MockDriver::start(&mut rng);
    let buffer = driver.alloc(1 << 20);
    for _ in 0..64 {
        driver.queues[0].add(&[writable(buffer, 1 << 20)]);
    }
    driver.queues[0].kick();
    rng.reset();
    rng.reset();
    let before = driver.bytes(buffer, 64 * 1024);
    driver.queues[0].kick();
    assert_eq!(driver.bytes(buffer, 64 * 1024), before, "nobody writes guest memory after a reset");
}

#[test]
fn the_configuration_space_is_empty() {
    let rng = Rng::new();
    let mut data = [7; 8];
    rng.read_config(0, &mut data);
    assert_eq!(data, [0; 8]);
    assert_eq!(rng.device_type(), 4);
}
