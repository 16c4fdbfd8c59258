//! Bytes through stdin, stdout and stderr: all of them, in order, in any amount, without deadlock.

use std::io::{Read, Write};
use std::process::Stdio;

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::Sandbox;

/// Pseudo-random bytes that differ per seed.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Sends `bytes` of noise through `cat` in a container and compares what comes back.
fn there_and_back(isolation: Isolation, seed: u64, bytes: usize) {
    let mut command = Sandbox::shared().run_command(isolation);
    command.args(["-i", "alpine", "cat"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut noise = Noise(seed);
            let mut buffer = vec![0; 1 << 16];
            let mut left = bytes;
            while left > 0 {
                let n = left.min(buffer.len());
                noise.fill(&mut buffer[..]);
                stdin.write_all(&buffer[..n]).unwrap();
                left -= n;
            }
        });
        let mut noise = Noise(seed);
        let (mut expected, mut got) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut left = bytes;
        while left > 0 {
            let n = left.min(expected.len());
            noise.fill(&mut expected[..]);
            stdout.read_exact(&mut got[..n]).unwrap();
            assert!(got[..n] == expected[..n], "bytes differ {left} before the end");
            left -= n;
        }
        assert_eq!(stdout.read(&mut got).unwrap(), 0, "more came back than was sent");
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[rstest]
fn a_hundred_megabytes_there_and_back(#[values(Process, Vm)] isolation: Isolation) {
    there_and_back(isolation, 1, 100_000_000);
}

#[rstest]
fn ten_streams_at_once(#[values(Process, Vm)] isolation: Isolation) {
    std::thread::scope(|scope| {
        for seed in 1..=10 {
            scope.spawn(move || there_and_back(isolation, seed, 10_000_000));
        }
    });
}

#[rstest]
fn a_sum_inside_equals_the_sum_outside(#[values(Process, Vm)] isolation: Isolation) {
    let mut input = vec![0; 1_000_003];
    Noise(7).fill(&mut input);
    let out =
        Sandbox::shared().run_with_input(isolation, ["-i", "alpine", "wc", "-c"], &input).expect_code(0);
    assert_eq!(out.stdout.trim(), "1000003");
}

#[rstest]
fn stdin_is_empty_without_i(#[values(Process, Vm)] isolation: Isolation) {
    let out = Sandbox::shared()
        .run_with_input(isolation, ["alpine", "cat"], b"not for the container")
        .expect_code(0);
    assert_eq!(out.stdout, "");
}

#[rstest]
fn a_reader_that_leaves_early_ends_the_writer(#[values(Process, Vm)] isolation: Isolation) {
    let out = Sandbox::shared()
        .run_with_input(isolation, ["-i", "alpine", "head", "-c", "4"], &vec![b'x'; 4_000_000])
        .expect_code(0);
    assert_eq!(out.stdout, "xxxx");
}

#[rstest]
fn both_outputs_in_full_at_exit(#[values(Process, Vm)] isolation: Isolation) {
    let script = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 3";
    let out = Sandbox::shared().run(isolation, ["alpine", "sh", "-c", script]).expect_code(3);
    assert_eq!((out.stdout.len(), out.stderr.len()), (3_000_000, 2_000_000));
}

#[rstest]
fn stdout_can_be_opened_by_name(#[values(Process, Vm)] isolation: Isolation) {
    let script = "echo one > /dev/stdout; echo two > /proc/self/fd/2";
    let out = Sandbox::shared().run(isolation, ["alpine", "sh", "-c", script]).expect_code(0);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("one\n", "two\n"));
}
