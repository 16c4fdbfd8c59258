//! The command that started the supervisor: it is attached from the start, and of a foreground run the container's life
//! is tied to it.

use std::rc::Rc;

use sandbox_protocol::FdStream;
use tokio::task::JoinHandle;

use super::client::{Client, Event, Writer};
use super::hub::Hub;
use super::input::{Input, pump};
use super::order::{Ask, Orders};
use crate::plan::Plan;
use crate::wire::{Attach, Notice, Request};

/// See the module.
#[derive(Debug)]
pub struct Primary {
    writer: Rc<Writer>,
    tasks: Vec<JoinHandle<()>>,
}

impl Primary {
    /// Takes over its connection, if there is one.
    pub(crate) fn begin(
        connection: Option<FdStream>,
        plan: &Plan,
        hub: &Rc<Hub>,
        input: &Rc<Input>,
        orders: Orders,
    ) -> Self {
        let Client { mut events, stdin, writer } = Client::new(connection, None);
        hub.join(&writer, Attach { stdin: true, stdout: true, stderr: true });
        let typed = plan.primary_stdin;
        let pump = pump(Rc::clone(&stdin), Rc::clone(input), Rc::clone(&writer), plan.stdin_once);
        let hub = Rc::clone(hub);
        let reader = {
            let writer = Rc::clone(&writer);
            async move {
                while let Some(event) = events.recv().await {
                    match event {
                        Event::Request(Request::Resize { rows, cols }) => {
                            orders.tell(Ask::Resize { process: String::new(), rows, cols }).await;
                        }
                        Event::Request(Request::Signal { signal }) => {
                            orders.tell(Ask::Kill { signal }).await;
                        }
                        Event::Request(Request::Detach) => orders.tell(Ask::Untie).await,
                        // It has its connection for that.
                        Event::Request(_) | Event::Unknown(_) => {}
                        Event::Gone => {
                            hub.leave(&writer);
                            stdin.end();
                            orders.tell(Ask::Gone).await;
                        }
                    }
                }
            }
        };
        let mut tasks = vec![tokio::task::spawn_local(reader)];
        if typed {
            tasks.push(tokio::task::spawn_local(pump));
        }
        Self { writer, tasks }
    }

    /// The container goes on without it.
    pub(crate) fn release(&self) {
        for task in &self.tasks {
            task.abort();
        }
        self.writer.close();
    }

    /// It has its own end: it is told of the clean-up too.
    pub(crate) fn part(&self, hub: &Hub) {
        hub.leave(&self.writer);
    }

    /// One that is only told things.
    pub fn silent(connection: Option<FdStream>) -> Self {
        Self { writer: Client::new(connection, None).writer, tasks: Vec::new() }
    }

    /// Tells it something; whether it was there to hear it.
    pub async fn tell(&self, notice: &Notice) -> bool {
        self.writer.notify(notice).await
    }
}
