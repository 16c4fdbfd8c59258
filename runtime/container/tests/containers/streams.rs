//! Standard streams and terminals.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::termios::{Winsize, tcsetwinsize};
use sandbox_container::{Container, CreateOptions, ExitStatus, Stdio, create};

use crate::Test;
use crate::support::{Bundle, Output, edit_process, options, process, spec, start, strings, unique};

pub(crate) const TESTS: &[Test] = &[
    ("streams::three_apart", three_apart),
    ("streams::a_terminal", a_terminal),
    ("streams::a_terminal_for_exec", a_terminal_for_exec),
    ("streams::a_console_socket", a_console_socket),
    ("streams::owned_by_the_user", owned_by_the_user),
];

fn three_apart() {
    let bundle = Bundle::new();
    let spec = spec(&bundle, &["sh", "-c", "cat; echo done >&2"]);
    let (stdin, mut feed) = std::io::pipe().expect("pipe");
    let (mut out, stdout) = std::io::pipe().expect("pipe");
    let (mut err, stderr) = std::io::pipe().expect("pipe");
    let stdio = Stdio::Pipes { stdin: Some(stdin.into()), stdout: stdout.into(), stderr: stderr.into() };
    let id = unique();
    let mut container = create(CreateOptions { stdio, ..options(&id, &spec, &bundle) }).expect("created");
    container.start().expect("started");
    feed.write_all(b"some text").expect("written");
    drop(feed);
    let (mut text, mut errors) = (String::new(), String::new());
    out.read_to_string(&mut text).expect("read");
    err.read_to_string(&mut errors).expect("read");
    assert_eq!((text.as_str(), errors.as_str()), ("some text", "done\n"));
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(0));
    container.delete().expect("deleted");
}

/// What comes out of a terminal until its end.
fn drain(master: OwnedFd) -> String {
    let mut file = File::from(master);
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    // EIO is how a terminal says that nobody is at the other end.
    while let Ok(count @ 1..) = file.read(&mut chunk) {
        text.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&text).replace('\r', "")
}

fn read_until(file: &mut File, word: &str) -> String {
    let mut text = String::new();
    let mut chunk = [0; 256];
    while !text.contains(word) {
        let count = file.read(&mut chunk).expect("the terminal is open");
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    text
}

fn with_terminal(bundle: &Bundle, text: &str) -> (Container, File) {
    let mut spec = spec(bundle, &["sh", "-c", text]);
    edit_process(&mut spec, |process| {
        process.set_terminal(Some(true));
    });
    let id = unique();
    let stdio = Stdio::Terminal { rows: 30, cols: 100 };
    let mut container = create(CreateOptions { stdio, ..options(&id, &spec, bundle) }).expect("created");
    let master = container.terminal().expect("a terminal");
    assert!(container.terminal().is_none());
    container.start().expect("started");
    (container, master.into())
}

fn a_terminal() {
    let bundle = Bundle::new();
    let text = "tty; stty size; ls -l /dev/console; echo to-console >/dev/console; ls /dev/pts; \
                trap 'stty size; exit 5' INT; echo go; while :; do sleep 0.05; done";
    let (mut container, mut master) = with_terminal(&bundle, text);
    let seen = read_until(&mut master, "go\r\n");
    for word in ["/dev/pts/0", "30 100", "136,", "to-console"] {
        assert!(seen.contains(word), "{word:?} is not in {seen}");
    }
    tcsetwinsize(&master, Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).expect("resized");
    // Ctrl-C of the terminal reaches the foreground group: it is the controlling one.
    master.write_all(&[3]).expect("written");
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(5));
    let rest = drain(master.into());
    assert!(rest.contains("40 120"), "{rest}");
    container.delete().expect("deleted");
}

fn a_terminal_for_exec() {
    let bundle = Bundle::new();
    let output = Output::new();
    let container = start(&bundle, &spec(&bundle, &["sleep", "100"]), &output);
    let mut shell = process(&["sh", "-c", "tty; stty size; echo >/dev/tty && exit 3"]);
    shell.set_terminal(Some(true));
    let mut process = container.exec(&shell, Stdio::Terminal { rows: 11, cols: 22 }).expect("exec");
    let master = process.terminal().expect("a terminal");
    assert_eq!(process.wait().expect("waited"), ExitStatus::Code(3));
    let text = drain(master);
    assert!(text.contains("/dev/pts/0\n11 22\n"), "{text}");
    container.delete().expect("deleted");
}

fn a_console_socket() {
    use std::os::unix::net::UnixStream;
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &["stty", "size"]);
    edit_process(&mut spec, |process| {
        process.set_terminal(Some(true));
        let size = oci_spec::runtime::BoxBuilder::default().height(7u64).width(9u64).build().expect("a size");
        process.set_console_size(Some(size));
    });
    let (here, there) = UnixStream::pair().expect("a pair");
    let id = unique();
    let stdio = Stdio::ConsoleSocket(there.into());
    let mut container = create(CreateOptions { stdio, ..options(&id, &spec, &bundle) }).expect("created");
    assert!(container.terminal().is_none());
    let master = receive_descriptor(&here.into());
    container.start().expect("started");
    assert_eq!(container.wait().expect("waited"), ExitStatus::Code(0));
    assert_eq!(drain(master), "7 9\n");
    container.delete().expect("deleted");
}

pub(crate) fn receive_descriptor(socket: &OwnedFd) -> OwnedFd {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0; 4096];
    let slices = &mut [std::io::IoSliceMut::new(&mut buffer)];
    recvmsg(socket, slices, &mut ancillary, RecvFlags::empty()).expect("received");
    let received = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    received.expect("a descriptor")
}

fn owned_by_the_user() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &["sh", "-c", "echo again >/dev/stdout"]);
    edit_process(&mut spec, |process| {
        process.user_mut().set_uid(33).set_gid(33);
        process.set_args(Some(strings(&["sh", "-c", "echo again >/dev/stdout"])));
    });
    let (status, text) = crate::support::run(&bundle, &spec).expect("it runs");
    assert_eq!((status, text.as_str()), (ExitStatus::Code(0), "again\n"));
}
