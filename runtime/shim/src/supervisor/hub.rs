//! Who gets the container's output: any number of clients, each with its own choice of streams.
//!
//! The primary client of a foreground run holds the container back when it does not read, as a pipe would. Others must not
//! be able to: one that takes nothing for [`PATIENCE`] is disconnected.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::client::Writer;
use crate::wire::{self, Attach, Notice};

/// How long a client may take nothing while there is something for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Member {
    writer: Rc<Writer>,
    streams: Attach,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    members: RefCell<Vec<Rc<Member>>>,
}

impl Hub {
    /// From now on `writer` gets `streams`, and the notices of the container's end.
    pub(crate) fn join(&self, writer: &Rc<Writer>, streams: Attach) {
        self.members.borrow_mut().push(Rc::new(Member { writer: Rc::clone(writer), streams }));
    }

    /// It gets nothing any more.
    pub(crate) fn leave(&self, writer: &Rc<Writer>) {
        self.members.borrow_mut().retain(|member| !Rc::ptr_eq(&member.writer, writer));
    }

    /// Delivers a whole frame of output of `kind`.
    pub(crate) async fn output(&self, kind: u8, frame: &[u8]) {
        let wants = |member: &Member| match kind {
            wire::STDERR => member.streams.stderr,
            _ => member.streams.stdout,
        };
        for member in self.now() {
            if wants(&member) && !member.writer.send(frame).await {
                self.leave(&member.writer);
            }
        }
    }

    /// Tells everybody.
    pub(crate) async fn notify(&self, notice: &Notice) {
        for member in self.now() {
            member.writer.notify(notice).await;
        }
    }

    /// Nobody takes part any more; connections end as far as nobody else uses them.
    pub(crate) fn disband(&self) {
        for member in self.members.take() {
            member.writer.close();
        }
    }

    /// Clients come and go while one of them is waited for.
    fn now(&self) -> Vec<Rc<Member>> {
        self.members.borrow().clone()
    }
}
