//! What should run after the host was started anew.

use sandbox_shim::plan::Restart;

use crate::engine::Engine;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::state::containers::{Container, State};

impl Engine {
    /// The containers that ran before and whose restart policy wants them to run again, oldest first.
    pub fn to_boot(&self) -> Result<Vec<Container>> {
        let mut wanted = Vec::new();
        for container in self.containers()?.into_iter().rev() {
            // One that was never started is not exited. When it was started is not known of all: a host that lost its power has
            // lost the run directory, too.
            if container.state == State::Exited {
                let recipe = Recipe::read(&self.paths.container(&container.id))?;
                if recipe.is_some_and(|recipe| wants(recipe.request.restart, container.stopped)) {
                    wanted.push(container);
                }
            }
        }
        Ok(wanted)
    }
}

/// `on-failure` is about ends of the container's own.
fn wants(policy: Restart, stopped: bool) -> bool {
    match policy {
        Restart::Always => true,
        Restart::UnlessStopped => !stopped,
        Restart::No | Restart::OnFailure { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        assert!(wants(Restart::Always, true) && wants(Restart::Always, false));
        assert!(wants(Restart::UnlessStopped, false) && !wants(Restart::UnlessStopped, true));
        assert!(!wants(Restart::No, false) && !wants(Restart::OnFailure { max: 0 }, false));
    }
}
