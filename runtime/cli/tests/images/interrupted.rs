//! Pulls that are cut off.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{SigHandler, Signal, kill};
use nix::unistd::Pid;

use crate::place::{Place, noise};
use crate::registry::Registry;

const SIZE: usize = 3_000_000;
const CUT: usize = 2_000_000;

fn big(registry: &Registry) -> String {
    let (place, name) = (Place::new(), registry.name("big"));
    place.import(&name, &[("data", &noise(SIZE))]);
    place.good(&["push", "-q", &name]);
    name
}

/// Waits until so much of the blob lies in the store.
fn fetched(place: &Place, bytes: u64) {
    let end = Instant::now() + Duration::from_secs(30);
    while size(&place.path("root/blobs")) < bytes {
        assert!(Instant::now() < end, "the blob does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn size(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Makes the command take signals, though this test may itself have been started by something that ignores them, such as a
/// shell in the background.
fn with_signals(mut command: Command) -> Command {
    let take = || {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            // SAFETY: the default action runs no code of ours.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: signal(2) is async-signal-safe.
    unsafe { command.pre_exec(take) };
    command
}

fn cut_off_and_resumed(signal: Signal) -> Option<i32> {
    let (registry, place) = (Registry::start(), Place::new());
    let name = big(&registry);
    registry.stall_at(Some(CUT));
    let mut child = with_signals(place.command(&["pull", &name])).spawn().unwrap();
    fetched(&place, CUT as u64 / 2);
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(place.good(&["images", "-q"]), "", "half an image is none");

    registry.stall_at(None);
    registry.asked();
    place.good(&["pull", "-q", &name]);
    let asked = registry.asked();
    assert!(asked.iter().any(|line| line.contains("/blobs/") && line.contains(" bytes=")), "{asked:?}");
    assert_eq!(place.good(&["system", "check", "--images"]), "");
    code
}

#[test]
fn a_killed_pull_is_resumed() {
    assert_eq!(cut_off_and_resumed(Signal::SIGKILL), None);
}

#[test]
fn ctrl_c_ends_a_pull_with_130() {
    assert_eq!(cut_off_and_resumed(Signal::SIGINT), Some(130));
    assert_eq!(cut_off_and_resumed(Signal::SIGTERM), Some(143));
}

#[test]
fn a_terminal_sees_a_bar_that_moves() {
    let (registry, place) = (Registry::start(), Place::new());
    let name = big(&registry);
    registry.stall_at(Some(CUT));
    let size = Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
    let mut command = with_signals(place.command(&["pull", &name]));
    command.stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    fetched(&place, CUT as u64 / 2);
    // Long enough for the next time that the line is written.
    std::thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut seen = Vec::new();
    // Ends with an error when the last of the other side has gone.
    let _ = std::fs::File::from(master).read_to_end(&mut seen);
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("latest: Pulling from big\r\n"), "{seen:?}");
    assert!(seen.contains("\u{1b}[1A\u{1b}[2K\r"), "{seen:?}");
    assert!(seen.contains(": Downloading [====") && seen.contains("MB/3.00"), "{seen:?}");
    assert!(seen.ends_with("\r\n"), "the prompt has a line of its own: {seen:?}");
}
