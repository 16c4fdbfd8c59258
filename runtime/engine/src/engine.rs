//! The engine itself: what a front end holds.

use std::cell::OnceCell;

use rusqlite::Connection;
use sandbox_image::Store;

use crate::error::{Error, Result};
use crate::installation::Installation;
use crate::paths::Paths;
use crate::reclaim;
use crate::settings::VmSettings;
use crate::state::containers::{self, Container};
use crate::state::{self};

/// State, installation and paths of one command.
#[derive(Debug)]
pub struct Engine {
    pub(crate) paths: Paths,
    pub(crate) installation: Installation,
    pub(crate) connection: Connection,
    /// Opened by whoever needs it first.
    pub(crate) store: OnceCell<Store>,
    pub(crate) vm: VmSettings,
    problems: Vec<Error>,
}

impl Engine {
    /// Opens the state and reclaims what dead commands left.
    pub fn open(paths: Paths, installation: Installation) -> Result<Engine> {
        paths.prepare()?;
        let connection = state::open(&paths.database())?;
        let problems = reclaim::reap(&connection, &paths)?;
        Ok(Engine {
            paths,
            installation,
            connection,
            store: OnceCell::new(),
            vm: VmSettings::default(),
            problems,
        })
    }

    /// What VMs have by default.
    #[must_use]
    pub fn with_vm(mut self, vm: VmSettings) -> Engine {
        self.installation = self.installation.with_kernel(vm.kernel.value.clone());
        self.vm = vm;
        self
    }

    /// What reclaim could not do, for the user to know.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The container of that id, name or prefix of an id.
    pub fn find(&self, reference: &str) -> Result<Container> {
        containers::find(&self.connection, reference)
    }

    /// All containers, newest first.
    pub fn containers(&self) -> Result<Vec<Container>> {
        containers::list(&self.connection)
    }
}
