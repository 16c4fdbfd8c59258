//! What a container takes from others: namespaces that it joins, volumes of `--volumes-from`.

use sandbox_shim::plan::{Join, Joined};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::isolation;
use crate::parse::mount::Source;
use crate::parse::namespace::{Ipc, Pid};
use crate::recipe::Recipe;
use crate::request::Request;
use crate::state::containers::Container;
use crate::volumes::Inherited;

impl Engine {
    /// The containers whose namespaces a request joins, by their names as they are now. Whether they run is looked
    /// at when the container starts.
    pub(crate) fn joins(&self, request: &Request) -> Result<Vec<Join>> {
        let mut joins = Vec::new();
        if let Pid::Container(name) = &request.namespaces.pid {
            joins.push(self.join(Joined::Pid, &self.lender(name, "--pid")?));
        }
        if let Ipc::Container(name) = &request.namespaces.ipc {
            let lender = self.lender(name, "--ipc")?;
            if !self.recipe_of(&lender)?.request.namespaces.ipc.is_shared() {
                return Err(Error::invalid(format!(
                    "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor \
                     container)",
                    lender.id
                )));
            }
            joins.push(self.join(Joined::Ipc, &lender));
        }
        Ok(joins)
    }

    fn lender(&self, name: &str, flag: &str) -> Result<Container> {
        let lender = self.find(name)?;
        isolation::check_lender(lender.isolation).map_err(|why| {
            Error::invalid(format!("{flag} container:{name}: {why}; its namespaces are not on this host"))
        })?;
        Ok(lender)
    }

    fn join(&self, kind: Joined, lender: &Container) -> Join {
        Join {
            kind,
            id: lender.id.clone(),
            container_dir: self.paths.container(&lender.id),
            run_dir: lender.run_dir.clone().into(),
        }
    }

    fn recipe_of(&self, container: &Container) -> Result<Recipe> {
        Recipe::read(&self.paths.container(&container.id))?
            .ok_or_else(|| Error::invalid(format!("container {} has lost its configuration", container.id)))
    }

    /// The mounts of `--volumes-from`: volumes and binds, not what lives in memory. Where two have the same place the
    /// later one counts.
    pub(crate) fn inherited(&self, request: &Request) -> Result<Vec<Inherited>> {
        let mut inherited: Vec<Inherited> = Vec::new();
        for from in &request.volumes_from {
            let lender = self.find(&from.container)?;
            for mut resolved in self.recipe_of(&lender)?.mounts {
                match &mut resolved.mount.source {
                    Source::Tmpfs { .. } => continue,
                    Source::Bind { .. } => {}
                    // Not another one that nobody has named: this one.
                    Source::Volume { name } => {
                        let dir = resolved.host_path.as_deref().and_then(std::path::Path::parent);
                        *name = dir.and_then(|dir| Some(dir.file_name()?.to_str()?.to_owned()));
                    }
                }
                resolved.mount.read_only |= from.read_only;
                inherited.retain(|other| other.resolved.mount.target != resolved.mount.target);
                inherited.push(Inherited { lender: lender.id.clone(), resolved });
            }
        }
        Ok(inherited)
    }
}

#[cfg(test)]
mod tests;
