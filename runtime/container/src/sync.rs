//! What parent and child tell each other between clone and exec.
//!
//! A SOCK_SEQPACKET unix socket, one JSON message per packet, at most one descriptor along. It is
//! CLOEXEC: its end tells the parent that exec has happened.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error};

/// The longest message: an error text with paths in it.
const MAX_MESSAGE: usize = 16 << 10;

/// One step of the conversation.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Parent: the id mappings are written, or the hooks have run: go on. The text is the state for the child's hooks.
    Continue(String),
    /// Child: the namespaces are made, the host's paths are still there: run the runtime's hooks.
    Hooks,
    /// Child: everything is done but exec. The terminal's master comes along when there is one.
    Ready,
    /// Parent: exec now.
    Start,
    /// Intermediate process: this is the init's PID; its pidfd comes along.
    Forked(i32),
    /// Child: the listener of SCMP_ACT_NOTIFY comes along.
    SeccompListener,
    /// Child: it failed and ends.
    Error(Error),
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(pub(crate) OwnedFd);

impl Channel {
    pub(crate) fn pair() -> Result<(Channel, Channel), Error> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .context(|| "make a socket pair")?;
        Ok((Channel(a), Channel(b)))
    }

    pub(crate) fn send(&self, message: &Message, fd: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let text = encode(message);
        let fds = fd.map(|fd| [fd]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if let Some(fds) = &fds {
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(&self.0, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL)
        })
        .context(|| "tell the other side of the container's start")
        .map(drop)
    }

    /// The next message, `None` at the end of the conversation.
    pub(crate) fn receive(&self) -> Result<Option<(Message, Option<OwnedFd>)>, Error> {
        self.receive_with(RecvFlags::empty())
    }

    fn receive_with(&self, flags: RecvFlags) -> Result<Option<(Message, Option<OwnedFd>)>, Error> {
        let mut buffer = [0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let flags = flags | RecvFlags::CMSG_CLOEXEC;
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, flags) {
                Err(rustix::io::Errno::INTR) => {}
                // The other side died with our message unread.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                result => break result.context(|| "hear from the other side of the container's start")?,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let text = buffer.get(..received.bytes).unwrap_or_default();
        let message = serde_json::from_slice(text)
            .map_err(|error| Error::InitDied(format!("it sent something that is no message: {error}")))?;
        Ok(Some((message, fd)))
    }

    /// Whether the other side is gone.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.receive_with(RecvFlags::DONTWAIT), Ok(None))
    }
}

/// JSON of a message; of one that is too long, what fits of its words.
fn encode(message: &Message) -> Vec<u8> {
    let text = serde_json::to_vec(message).unwrap_or_default();
    if text.len() <= MAX_MESSAGE {
        return text;
    }
    let words: String = match message {
        Message::Error(error) => error.to_string().chars().take(MAX_MESSAGE / 16).collect(),
        _ => "a message that is too long".to_owned(),
    };
    serde_json::to_vec(&Message::Error(Error::InitDied(words))).unwrap_or_default()
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_errors_and_descriptors_arrive() {
        let (here, there) = Channel::pair().expect("a pair");
        assert!(!there.is_closed());
        let error = Error::Exec { command: "x".into(), reason: "no".into(), code: 126 };
        here.send(&Message::Error(error.clone()), None).expect("sent");
        let (message, fd) = there.receive().expect("received").expect("a message");
        assert_eq!((message, fd.is_some()), (Message::Error(error), false));
        let (a, _b) = Channel::pair().expect("a pair");
        here.send(&Message::Ready, Some(a.as_fd())).expect("sent");
        let (message, fd) = there.receive().expect("received").expect("a message");
        assert_eq!((message, fd.is_some()), (Message::Ready, true));
        // The longest words that can come: every character takes six bytes as JSON.
        here.send(&Message::Error(Error::Refused("\u{1}".repeat(1 << 20))), None).expect("sent");
        let (message, _) = there.receive().expect("received").expect("a message");
        assert!(matches!(message, Message::Error(Error::InitDied(_))));
        drop(here);
        assert!(there.is_closed() && there.receive().expect("no error").is_none());
    }
}
