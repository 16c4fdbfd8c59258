//! Files into and out of a container in its microVM: the agent does it in the guest, the bytes travel as streams.

use sandbox_container::archive::Archive;
use sandbox_protocol::{self as protocol, request};

use super::container::VmContainer;
use super::{json, pid};
use crate::isolation::{Failure, Process, Stdio};

impl VmContainer {
    /// Starts it under `name`, and reports its end as that of an exec.
    pub(super) async fn copy(&self, name: String, request: Archive) -> Result<Process, Failure> {
        if name.is_empty() || self.agent.expects(&name) {
            return Err(Failure::engine(format!("the name {name:?} of the copy is empty or taken")));
        }
        let stdin = matches!(request, Archive::Unpack { .. });
        let (stdio, expected) = self.streams.expect(Stdio { terminal: None, stdin })?;
        let body = request::Body::Archive(protocol::Archive {
            container: self.id.clone(),
            exec: name.clone(),
            request: json(&request)?,
            stdio: Some(stdio),
        });
        let exited = self.agent.exited(&name);
        let begin = async {
            let pid = pid(&self.agent.request(body).await?);
            Ok((pid, expected.open().await?))
        };
        match self.unless_dead(begin).await {
            Ok((pid, streams)) => Ok(Process { pid, streams, exited }),
            Err(failure) => {
                self.agent.forget(&name);
                Err(failure)
            }
        }
    }
}
