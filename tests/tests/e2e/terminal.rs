//! `-t`: what a person at a terminal sees and types.

use std::time::Duration;

use rstest::rstest;
use sandbox_tests::Isolation::{self, Process, Vm};
use sandbox_tests::{Sandbox, Terminal};

/// Emulation is slow; a pass takes a fraction of this.
const LIMIT: Duration = Duration::from_mins(2);

fn shell(isolation: Isolation, rows: u16, cols: u16) -> Terminal {
    let mut command = Sandbox::shared().run_command(isolation);
    command.args(["-it", "-e", "PS1=ready> ", "alpine", "sh"]);
    let mut terminal = Terminal::start(command, rows, cols);
    terminal.expect("ready> ", LIMIT);
    terminal
}

#[rstest]
fn size_follows_a_resize(#[values(Process, Vm)] isolation: Isolation) {
    let mut terminal = shell(isolation, 33, 99);
    terminal.send("stty size\r");
    terminal.expect("33 99\r\n", LIMIT);
    terminal.expect("ready> ", LIMIT);
    terminal.resize(44, 111);
    terminal.send("while [ \"$(stty size)\" != '44 111' ]; do :; done; echo it-\"is\"\r");
    terminal.expect("it-is\r\n", LIMIT);
    terminal.send("exit 5\r");
    assert_eq!(terminal.finish(LIMIT), (5, true));
}

#[rstest]
fn control_c_interrupts_the_foreground_process(#[values(Process, Vm)] isolation: Isolation) {
    let mut terminal = shell(isolation, 24, 80);
    // Said by the process that is to be interrupted, so that it is in the foreground by then.
    terminal.send("sh -c 'echo sta\"rt\"; exec sleep 1000'\r");
    terminal.expect("start\r\n", LIMIT);
    terminal.send("\x03");
    terminal.expect("ready> ", LIMIT);
    terminal.send("echo code=$?\r");
    terminal.expect("code=130\r\n", LIMIT);
    terminal.send("exit\r");
    let (_, sane) = terminal.finish(LIMIT);
    assert!(sane, "the terminal's modes were not restored");
}

#[rstest]
fn vi_edits_a_file(#[values(Process, Vm)] isolation: Isolation) {
    let mut terminal = shell(isolation, 24, 80);
    terminal.send("vi /tmp/note\r");
    terminal.expect("~", LIMIT);
    terminal.send("ihello from vi");
    terminal.expect("hello from vi", LIMIT);
    // On its own: with more behind it at once, Escape would be read as the start of a key's sequence.
    terminal.send("\x1b");
    terminal.expect("[Modified]", LIMIT);
    terminal.send(":wq\r");
    terminal.expect("ready> ", LIMIT);
    terminal.send("cat /tmp/no\"te\"\r");
    terminal.expect("hello from vi\r\n", LIMIT);
    terminal.send("exit 0\r");
    assert_eq!(terminal.finish(LIMIT), (0, true));
}

#[rstest]
fn a_terminal_without_a_terminal_is_refused(#[values(Process, Vm)] isolation: Isolation) {
    let out = Sandbox::shared().run(isolation, ["-it", "alpine", "true"]).expect_code(1);
    let text = "cannot attach stdin to a TTY-enabled container because stdin is not a terminal";
    assert!(out.stderr.contains(text), "{}", out.stderr);
}

#[rstest]
fn the_process_has_a_controlling_terminal(#[values(Process, Vm)] isolation: Isolation) {
    let mut command = Sandbox::shared().run_command(isolation);
    command.args([
        "-it",
        "alpine",
        "sh",
        "-c",
        "tty; echo $TERM; ls -l /dev/console | cut -c1; echo via-tty > /dev/tty",
    ]);
    let mut terminal = Terminal::start(command, 24, 80);
    for line in ["/dev/pts/0\r\n", "xterm\r\n", "c\r\n", "via-tty\r\n"] {
        terminal.expect(line, LIMIT);
    }
    assert_eq!(terminal.finish(LIMIT), (0, true));
}
