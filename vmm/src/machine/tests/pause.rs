//! Pausing, and the balloon's target: what the owner asks for, is told, and can rely on.

use std::time::Duration;

use vm_memory::{Bytes, GuestAddress};

use super::*;

fn counted(machine: &Machine) -> u32 {
    machine.memory.read_obj(GuestAddress(guests::COUNTER)).unwrap()
}

/// Waits until the guest has counted further than `from`.
fn wait_for_more(machine: &Machine, from: u32) {
    while counted(machine) == from {
        std::thread::yield_now();
    }
}

fn wait_until_paused(machine: &Machine) {
    while !machine.is_paused() {
        std::thread::yield_now();
    }
}

#[test]
fn no_vcpu_runs_in_a_pause_and_all_do_after_it() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::count());
    guest.config.vcpus = 3;
    let mut machine = guest.build();
    machine.resume();
    wait_for_more(&machine, 0);
    for round in 0..100 {
        machine.pause();
        wait_until_paused(&machine);
        let before = counted(&machine);
        if round == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(counted(&machine), before, "it counts although it is paused");
        machine.resume();
        assert!(!machine.is_paused());
        wait_for_more(&machine, before);
    }
    machine.pause();
    wait_until_paused(&machine);
    machine.stop();
    assert_eq!(machine.exit_reason(), None);
}

#[test]
fn the_owner_is_told_when_a_pause_is_in_force_and_can_stop_then() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::spin());
    guest.config.vcpus = 2;
    guest.config.boot_deadline_ms = 3_600_000;
    let (reason, rest) = owned(&guest, |owner| {
        wait_for_start(owner);
        send(owner, &Command::Booted);
        for _ in 0..20 {
            send(owner, &Command::Pause);
            assert!(matches!(next_event(owner), Event::Paused));
            send(owner, &Command::Resume);
            assert!(matches!(next_event(owner), Event::Resumed));
        }
        // Twice is no contradiction.
        for _ in 0..2 {
            send(owner, &Command::Pause);
            assert!(matches!(next_event(owner), Event::Paused));
        }
        send(owner, &Command::Stop);
    });
    assert_eq!(reason, ExitReason::Stopped);
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn the_boot_deadline_does_not_pass_in_a_pause() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::spin());
    guest.config.boot_deadline_ms = 1000;
    let (reason, _) = owned(&guest, |owner| {
        wait_for_start(owner);
        send(owner, &Command::Pause);
        assert!(matches!(next_event(owner), Event::Paused));
        std::thread::sleep(Duration::from_millis(1200));
        send(owner, &Command::Resume);
        assert!(matches!(next_event(owner), Event::Resumed));
    });
    // It went on to count after the pause.
    assert_eq!(reason, ExitReason::Deadline);
}

#[test]
fn the_balloon_has_at_most_all_memory_as_its_target() {
    if no_kvm() {
        return;
    }
    let mut guest = Guest::new(guests::spin());
    let ask = |owner: &OwnedFd, mib| {
        send(owner, &Command::Balloon { mib });
        match next_event(owner) {
            Event::Balloon { target_mib, actual_mib: 0 } => target_mib,
            event => panic!("{event:?}"),
        }
    };
    for (balloon, targets) in [(true, [7, 32, 32, 0]), (false, [0; 4])] {
        guest.config.balloon = balloon;
        let (reason, _) = owned(&guest, |owner| {
            wait_for_start(owner);
            assert_eq!([7, 32, u64::MAX, 0].map(|mib| ask(owner, mib)), targets);
            send(owner, &Command::Stop);
        });
        assert_eq!(reason, ExitReason::Stopped);
    }
}
