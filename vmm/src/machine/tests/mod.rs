//! Whole machines on the host's KVM with guests of a few instructions: exits, dispatch, interrupts, stop, deadline.
//!
//! They come the way Linux comes, as ELF kernels through PVH, but run on any KVM that opens.

mod guests;
mod pause;

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::*;
use crate::control::{Command, Event};
use crate::monitor::{self, Owner};

/// The test does not apply where /dev/kvm cannot be opened; says so.
fn no_kvm() -> bool {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => false,
        Err(error) => {
            println!("skipped: /dev/kvm: {error}");
            true
        }
    }
}

struct Guest {
    config: VmConfig,
    _files: [tempfile::NamedTempFile; 2],
}

impl Guest {
    fn new(code: &[u8]) -> Self {
        let files = [guests::kernel(code), guests::initramfs()];
        let config = serde_json::json!({
            "kernel": files[0].path(), "initramfs": files[1].path(),
            "memory_mib": 32, "vcpus": 1, "boot_deadline_ms": 0, "rng": true,
        });
        Self { config: serde_json::from_value(config).unwrap(), _files: files }
    }

    fn build(&self) -> Machine {
        monitor::build(&self.config).unwrap()
    }

    /// Runs to the end; returns the reason and what was said.
    fn run(&self) -> (ExitReason, String) {
        monitor::run(&self.config, &mut self.build(), None).unwrap()
    }
}

/// Runs a guest under an owner, who does `act` with its end of the socket; returns all events.
fn owned(guest: &Guest, act: impl FnOnce(&OwnedFd) + Send) -> (ExitReason, Vec<Event>) {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .unwrap();
    let reason = std::thread::scope(|scope| {
        scope.spawn(|| act(&ours));
        let mut machine = guest.build();
        monitor::run(&guest.config, &mut machine, Some(&Owner::from(theirs))).unwrap().0
    });
    let mut events = Vec::new();
    loop {
        let mut packet = vec![0; crate::control::MAX_PACKET];
        match rustix::net::recv(&ours, packet.as_mut_slice(), RecvFlags::empty()).unwrap() {
            (_, 0) => return (reason, events),
            (_, len) => events.push(serde_json::from_slice(&packet[..len]).unwrap()),
        }
    }
}

fn send(owner: &OwnedFd, command: &Command) {
    rustix::net::send(owner, &serde_json::to_vec(command).unwrap(), SendFlags::empty()).unwrap();
}

/// The next thing that the machine tells its owner.
fn next_event(owner: &OwnedFd) -> Event {
    let mut packet = [0; 256];
    let (_, len) = rustix::net::recv(owner, packet.as_mut_slice(), RecvFlags::empty()).unwrap();
    serde_json::from_slice(&packet[..len]).unwrap()
}

/// Waits until the machine tells its owner that it runs.
fn wait_for_start(owner: &OwnedFd) {
    assert!(matches!(next_event(owner), Event::Started { .. }));
}

#[test]
fn each_way_to_end_is_told_apart() {
    if no_kvm() {
        return;
    }
    assert_eq!(Guest::new(guests::reset()).run().0, ExitReason::Reset);
    assert_eq!(Guest::new(guests::triple_fault()).run().0, ExitReason::Shutdown);
    let (reason, console) = Guest::new(guests::halt()).run();
    assert_eq!((reason, console.as_str()), (ExitReason::Halt, "reboot: System halted\n"));
}

#[test]
fn ports_and_addresses_reach_their_devices_or_nobody() {
    if no_kvm() {
        return;
    }
    let guest = Guest::new(guests::probe());
    let mut machine = guest.build();
    let (reason, console) = monitor::run(&guest.config, &mut machine, None).unwrap();
    assert_eq!((reason, console.as_str()), (ExitReason::Reset, "YYYYY"));
    assert_eq!(machine.transports[0].kicks()[0].read().unwrap(), 1, "the notification came by ioeventfd");
}

#[test]
fn a_full_serial_port_says_the_same() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::probe());
    guest.config.serial = true;
    assert_eq!(guest.run(), (ExitReason::Reset, "YYYYY".to_owned()));
}

#[test]
fn an_irqfd_interrupts_a_halted_guest() {
    if no_kvm() {
        return;
    }
    let guest = Guest::new(guests::interrupt());
    let mut machine = guest.build();
    // Edge triggered: before the guest has unmasked the pin the interrupt would be lost, so ask until it answers.
    let transport = Arc::clone(&machine.transports[0]);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let interrupter = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                transport.interrupt().signal_queue();
                std::thread::yield_now();
            }
        }
    });
    let outcome = monitor::run(&guest.config, &mut machine, None).unwrap();
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    interrupter.join().unwrap();
    assert_eq!(outcome, (ExitReason::Reset, "RI".to_owned()));
}

#[test]
fn several_processors_run() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::two_processors());
    guest.config.vcpus = 3;
    assert_eq!(guest.run(), (ExitReason::Reset, "AB".to_owned()));
}

#[test]
fn memory_above_4_gib_is_there() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::high_memory());
    guest.config.memory_mib = 4096;
    assert_eq!(guest.run(), (ExitReason::Reset, "Y".to_owned()));
}

#[test]
fn the_owner_hears_of_start_and_stops_the_machine() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::spin());
    guest.config.vcpus = 2;
    let (reason, _) = owned(&guest, |owner| {
        wait_for_start(owner);
        send(owner, &Command::Stop);
    });
    assert_eq!(reason, ExitReason::Stopped);
}

#[test]
fn an_owner_that_goes_away_stops_the_machine() {
    if no_kvm() {
        return;
    }
    let (reason, events) = owned(&Guest::new(guests::spin()), |owner| {
        rustix::net::shutdown(owner, rustix::net::Shutdown::Write).unwrap();
    });
    assert_eq!(reason, ExitReason::Stopped);
    assert!(events.iter().all(|event| matches!(event, Event::Started { .. })));
}

#[test]
fn an_owner_that_talks_nonsense_stops_the_machine() {
    if no_kvm() {
        return;
    }
    let (reason, _) = owned(&Guest::new(guests::spin()), |owner| {
        rustix::net::send(owner, b"{\"op\":\"dance\"}", SendFlags::empty()).unwrap();
    });
    assert!(matches!(reason, ExitReason::Error(text) if text.contains("no valid command")));
}

#[test]
fn the_deadline_ends_a_guest_that_does_not_boot() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::spin());
    guest.config.boot_deadline_ms = 20;
    assert_eq!(guest.run().0, ExitReason::Deadline);
}

#[test]
fn a_machine_that_never_ran_is_taken_down() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::spin());
    guest.config.vcpus = 4;
    let machine = guest.build();
    assert_eq!((machine.exit_reason(), machine.first_run_ns()), (None, None));
    drop(machine);
}

#[test]
fn missing_files_are_named_with_a_remedy() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::spin());
    guest.config.kernel = "/nonexistent/vmlinux".into();
    let error = monitor::build(&guest.config).unwrap_err().to_string();
    assert!(
        error.contains("kernel /nonexistent/vmlinux: No such file") && error.contains("SANDBOX_LIBEXEC"),
        "{error}"
    );
    guest.config.kernel = "/dev/null".into();
    let error = monitor::build(&guest.config).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}
