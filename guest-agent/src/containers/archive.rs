//! Files into and out of a container: a process beside it, with streams as an exec has them.

use std::rc::Rc;

use rustix::process::Signal;
use sandbox_container::Stdio;
use sandbox_container::archive::process::Streams;
use sandbox_protocol as protocol;

use super::{Containers, Exec, entry};
use crate::server::Refusal;
use crate::{exits, stdio};

impl Containers {
    pub(crate) fn archive(self: &Rc<Self>, request: protocol::Archive) -> Result<i32, Refusal> {
        let mut table = self.table.borrow_mut();
        let entry = entry(&mut table, &request.container)?;
        if request.exec.is_empty() || entry.execs.contains_key(&request.exec) {
            return Err(Refusal::Text(format!("the name {:?} of the copy is empty or taken", request.exec)));
        }
        let archive = serde_json::from_slice(&request.request)
            .map_err(|error| format!("parse the request about the container's files: {error}"))?;
        let (core_stdio, ours) = stdio::prepare(request.stdio.unwrap_or_default())
            .map_err(|error| format!("prepare the streams of the copy: {error}"))?;
        let Stdio::Pipes { stdin, stdout, stderr } = core_stdio else {
            return Err(Refusal::Text("a copy has no terminal".into()));
        };
        let streams = Streams { input: stdin, output: stdout, error: stderr };
        let process = entry.container.archive(&archive, &streams)?;
        drop(streams);
        let pid = process.pid().as_raw_nonzero().get();
        let watched = exits::watch(self, request.container, request.exec.clone(), process.pidfd())
            .and_then(|()| ours.run(None));
        match watched {
            Ok(terminal) => {
                entry.execs.insert(request.exec, Exec { process, terminal });
                Ok(pid)
            }
            Err(error) => {
                process.signal(Signal::KILL)?;
                process.wait()?;
                Err(Refusal::Text(format!("connect the streams of the copy: {error}")))
            }
        }
    }
}
