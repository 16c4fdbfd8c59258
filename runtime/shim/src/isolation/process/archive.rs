//! Files into and out of the container: a process of ours on its root.

use rustix::process::Signal;
use sandbox_container as core;
use sandbox_container::archive::Archive;
use sandbox_container::archive::process::Streams;

use super::{Pipes, ProcessContainer, streams_failed, watch};
use crate::isolation::{Failure, Process, Stdio};

/// Starts it under `name`, and reports its end as that of an exec.
pub(super) fn start(container: &ProcessContainer, name: &str, request: &Archive) -> Result<Process, Failure> {
    let stdin = matches!(request, Archive::Unpack { .. });
    let (stdio, ours) =
        Pipes::make(Stdio { terminal: None, stdin }).map_err(|error| streams_failed(&error))?;
    let core::Stdio::Pipes { stdin, stdout, stderr } = stdio else {
        return Err(Failure::engine("a copy has no terminal"));
    };
    let streams = Streams { input: stdin, output: stdout, error: stderr };
    {
        let mut state = container.0.borrow_mut();
        if name.is_empty() || state.processes.contains_key(name) {
            return Err(Failure::engine(format!("the name {name:?} of the copy is empty or taken")));
        }
        let child = state.container.archive(request, &streams)?;
        state.processes.insert(name.to_owned(), child);
    }
    drop(streams);
    let watched =
        ours.run().and_then(|(streams, terminal)| watch(&container.0, name.to_owned(), streams, terminal));
    watched.map_err(|error| {
        if let Some(child) = container.0.borrow_mut().processes.remove(name) {
            let _ = child.signal(Signal::KILL);
            let _ = child.wait();
        }
        streams_failed(&error)
    })
}
