use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::Balloon;
use crate::virtio::device::VirtioDevice;
use crate::virtio::test_utils::{
    MockDriver, RAM_SIZE, assert_interrupts_are_suppressed, publish_hostile_chains, readable, writable,
};

const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const REPORT: usize = 2;
/// Somewhere behind the queues.
const FIRST: u32 = 1024;

/// A guest in which every page from `FIRST` on begins with a one.
fn guest(balloon: &mut Balloon) -> MockDriver {
    let driver = MockDriver::start(balloon);
    for page in FIRST..FIRST + 64 {
        driver.ram.write_obj(1_u8, GuestAddress(u64::from(page) << 12)).unwrap();
    }
    driver
}

fn kept(driver: &MockDriver) -> Vec<u32> {
    let is_kept = |page: &u32| driver.ram.read_obj::<u8>(GuestAddress(u64::from(*page) << 12)).unwrap() == 1;
    (FIRST..FIRST + 64).filter(is_kept).collect()
}

fn inflate(driver: &mut MockDriver, pages: &[u32]) {
    let numbers: Vec<u8> = pages.iter().flat_map(|page| page.to_le_bytes()).collect();
    let address = driver.alloc_bytes(&numbers);
    assert_eq!(driver.request(INFLATE, &[readable(address, numbers.len() as u32)]), 0);
}

#[test]
fn pages_that_the_guest_gives_are_released_and_no_others() {
    let mut balloon = Balloon::new();
    let mut driver = guest(&mut balloon);
    // A run, a single one, a run backwards, one twice.
    let given = [FIRST, FIRST + 1, FIRST + 2, FIRST + 10, FIRST + 22, FIRST + 21, FIRST + 10];
    inflate(&mut driver, &given);
    let expected: Vec<u32> = (FIRST..FIRST + 64).filter(|page| !given.contains(page)).collect();
    assert_eq!(kept(&driver), expected);
    // Taken back, they are ordinary memory again.
    let address = driver.alloc_bytes(&FIRST.to_le_bytes());
    assert_eq!(driver.request(DEFLATE, &[readable(address, 4)]), 0);
    driver.ram.write_obj(1_u8, GuestAddress(u64::from(FIRST) << 12)).unwrap();
    assert_eq!(kept(&driver).first(), Some(&FIRST));
}

#[test]
fn pages_outside_memory_are_ignored() {
    let mut balloon = Balloon::new();
    let mut driver = guest(&mut balloon);
    let end = (RAM_SIZE >> 12) as u32;
    inflate(&mut driver, &[end, end + 1, u32::MAX, u32::MAX, 0x8000_0000, FIRST + 5]);
    let address = driver.alloc_bytes(&[0xff; 7]);
    assert_eq!(driver.request(INFLATE, &[readable(address, 7)]), 0, "one and three quarters of a number");
    assert_eq!(kept(&driver).len(), 63);
}

#[test]
fn reported_pages_are_released_and_parts_of_pages_are_not() {
    let mut balloon = Balloon::new();
    let mut driver = guest(&mut balloon);
    let start = u64::from(FIRST) << 12;
    let report =
        [writable(start, 8192), writable(start + 4 * 4096 - 1, 2 * 4096), writable(start + 10 * 4096, 4095)];
    assert_eq!(driver.request(REPORT, &report), 0);
    let gone = [FIRST, FIRST + 1, FIRST + 4];
    let expected: Vec<u32> = (FIRST..FIRST + 64).filter(|page| !gone.contains(page)).collect();
    assert_eq!(kept(&driver), expected);
    // What the device may not write it may not throw away either.
    assert_eq!(driver.request(REPORT, &[readable(start + 20 * 4096, 4096)]), 0);
    assert_eq!(kept(&driver), expected);
}

#[test]
fn hostile_chains_are_completed_and_the_device_lives_on() {
    let mut balloon = Balloon::new();
    let mut driver = guest(&mut balloon);
    for queue in [INFLATE, REPORT, DEFLATE] {
        let count = publish_hostile_chains(&mut driver, queue);
        for _ in 0..count {
            assert_eq!(driver.wait_used(queue).1, 0);
        }
    }
    inflate(&mut driver, &[FIRST]);
    assert_eq!(kept(&driver).len(), 63);
}

#[test]
fn a_driver_without_reporting_has_two_queues() {
    let mut balloon = Balloon::new();
    let features = balloon.features() & !(1 << 5);
    let (mut driver, mut context) = MockDriver::prepare(&balloon, features);
    context.queues.truncate(2);
    balloon.activate(context).unwrap();
    inflate(&mut driver, &[FIRST]);
}

#[test]
fn the_host_sets_the_target_and_the_guest_says_what_it_gave() {
    let mut balloon = Balloon::new();
    let handle = balloon.handle();
    handle.set_target(7);
    let driver = MockDriver::start(&mut balloon);
    assert!(!driver.wait_interrupt(0), "a target from before the start is read, not announced");
    handle.set_target(0x0001_0203);
    assert_eq!(driver.interrupt.status(), 2);
    assert!(driver.wait_interrupt(0));
    let mut config = [9; 12];
    balloon.read_config(0, &mut config);
    assert_eq!(config, [3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    balloon.write_config(4, &[5, 1, 0, 0]);
    assert_eq!(handle.actual(), 0x105);
    balloon.write_config(0, &[9; 4]);
    balloon.write_config(4, &[9; 2]);
    balloon.write_config(8, &[9; 4]);
    assert_eq!(handle.actual(), 0x105);
    balloon.reset();
    balloon.reset();
    assert_eq!(handle.actual(), 0);
    handle.set_target(1);
    assert!(!driver.wait_interrupt(0), "no interrupt after a reset");
    assert_eq!(balloon.device_type(), 5);
}

#[test]
fn who_waits_hears_once_for_each_target_that_was_met() {
    let mut balloon = Balloon::new();
    let handle = balloon.handle();
    let news = EventFd::new(EFD_NONBLOCK).unwrap();
    handle.watch(news.try_clone().unwrap());
    balloon.write_config(4, &[0; 4]);
    assert!(news.read().is_err(), "nothing was asked");
    handle.set_target(2);
    balloon.write_config(4, &[1, 0, 0, 0]);
    assert!(news.read().is_err(), "it has given one of two");
    for _ in 0..3 {
        balloon.write_config(4, &[2, 0, 0, 0]);
    }
    assert_eq!((news.read().unwrap(), handle.target(), handle.actual()), (1, 2, 2));
    balloon.write_config(4, &[9, 0, 0, 0]);
    balloon.write_config(4, &[2, 0, 0, 0]);
    assert!(news.read().is_err(), "it was told already");
}

#[test]
fn the_driver_decides_about_interrupts() {
    for queue in [INFLATE, DEFLATE] {
        let mut balloon = Balloon::new();
        let mut driver = guest(&mut balloon);
        let address = driver.alloc_bytes(&FIRST.to_le_bytes());
        assert_interrupts_are_suppressed(&mut balloon, &mut driver, queue, &[readable(address, 4)]);
    }
}

#[test]
fn a_reset_while_busy_stops_the_worker() {
    let mut balloon = Balloon::new();
    let mut driver = guest(&mut balloon);
    // The same page again and again, apart from each other: one system call each.
    let numbers: Vec<u8> = (0..8192).flat_map(|i| (FIRST + i % 2 * 2).to_le_bytes()).collect();
    let address = driver.alloc_bytes(&numbers);
    for _ in 0..16 {
        driver.queues[INFLATE].add(&[readable(address, numbers.len() as u32)]);
    }
    driver.queues[INFLATE].kick();
    balloon.reset();
    driver.ram.write_obj(1_u8, GuestAddress(u64::from(FIRST) << 12)).unwrap();
    driver.queues[INFLATE].kick();
    assert!(kept(&driver).contains(&FIRST), "nobody takes guest memory after a reset");
    let mut driver = guest(&mut balloon);
    inflate(&mut driver, &[FIRST]);
    assert_eq!(kept(&driver).len(), 63);
}
