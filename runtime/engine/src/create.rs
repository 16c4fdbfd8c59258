//! Making a container: its row, its lock, its directories, and everything that it will be started from.

use std::path::Path;

use oci_spec::runtime::Spec;
use rustix::fs::Mode;
use sandbox_shim::log::{DEFAULT_DRIVER, LogPlan, Subject};
use sandbox_shim::plan::{self, Plan, Rootfs};

use crate::announce;
use crate::clock::realtime_ns;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::image::Defaults;
use crate::isolation::{self, Host};
use crate::lock::{self, Lock};
use crate::parse::signal;
use crate::paths::private_dir;
use crate::recipe::Recipe;
use crate::request::Request;
use crate::spec::{self, Files, Resolved};
use crate::state::containers::{self, Container, State};
use crate::{id, name, reclaim, state, volumes};

/// Seconds between the stop signal and SIGKILL, Docker's.
const STOP_TIMEOUT_S: i64 = 10;
/// How often a made-up name may be taken already.
const NAME_ATTEMPTS: u32 = 20;

/// A container that was made and is ours to start: its row, its directories, its lock.
#[derive(Debug)]
pub struct Made {
    pub(crate) container: Container,
    pub(crate) lock: Lock,
    pub(crate) plan: Plan,
    /// It was made just now, and vanishes if it does not even get a supervisor.
    pub(crate) new: bool,
}

impl Made {
    pub fn id(&self) -> &str {
        &self.container.id
    }
    pub fn name(&self) -> &str {
        &self.container.name
    }
    pub fn container(&self) -> &Container {
        &self.container
    }
    pub fn tty(&self) -> bool {
        self.plan.tty
    }
    pub fn open_stdin(&self) -> bool {
        self.plan.open_stdin
    }
}

impl Engine {
    /// Makes a container. Everything that can be refused is refused before anything is made.
    pub fn create(&mut self, request: &Request, image: &Defaults) -> Result<Made> {
        let host = Host::look(&request.limits, &self.vm);
        isolation::check(request, &host)?;
        let id = id::generate()?;
        let inherited = self.inherited(request)?;
        let (mounts, uses) = volumes::resolve(request, inherited, &image.volumes, &self.paths)?;
        let (mut plan, recipe) = self.plan(&id, request, image, mounts, &host)?;
        self.resolve(&mut plan, request)?;
        let container = Container {
            name: request.name.as_deref().map_or(Ok(""), name::validate)?.to_owned(),
            image_id: image.id.clone(),
            image_name: request.image.clone(),
            isolation: request.isolation,
            state: State::Running,
            auto_remove: request.auto_remove,
            created_ns: realtime_ns(),
            started_ns: None,
            finished_ns: None,
            exit_code: None,
            oom_killed: false,
            error: None,
            run_dir: text(&plan.run_dir)?,
            cgroup: plan.cgroup.as_deref().map(text).transpose()?,
            stopped: false,
            id,
        };
        self.make(container, image, plan, &recipe, &uses)
    }

    /// Leaves a container that was made for a later start.
    pub fn park(&self, made: Made) -> Result<Container> {
        let Made { mut container, lock, .. } = made;
        containers::created(&self.connection, &container.id)?;
        container.state = State::Created;
        drop(lock);
        Ok(container)
    }

    /// What the supervisor gets, and what is kept for the next one.
    pub(crate) fn plan(
        &self,
        id: &str,
        request: &Request,
        image: &Defaults,
        mounts: Vec<Resolved>,
        host: &Host,
    ) -> Result<(Plan, Recipe)> {
        let isolation = isolation::plan(request, host, &self.installation)?;
        let dir = self.paths.container(id);
        let files = Files::of(&dir);
        let run_dir = self.paths.run(id);
        let shm = run_dir.join(plan::SHM);
        let input = spec::Input { id, request, image, mounts: &mounts, files: &files, shared_memory: &shm };
        let spec = spec::build(&input)?;
        let stop_signal = match (request.process.stop_signal, &image.stop_signal) {
            (Some(number), _) => number,
            (None, Some(text)) if !text.is_empty() => {
                signal::parse(text).map_err(|e| Error::invalid(format!("the image's stop signal: {e}")))?
            }
            _ => libc::SIGTERM,
        };
        let recipe = recipe(id, request, image, mounts, &spec, stop_signal);
        let plan = Plan {
            id: id.to_owned(),
            isolation,
            user: recipe.user.clone(),
            extra_groups: request.process.groups.clone(),
            rootfs: Rootfs {
                lower: image.layers.clone(),
                upper: dir.join("upper"),
                work: dir.join("work"),
                volatile: request.auto_remove,
            },
            container_dir: dir,
            joins: Vec::new(),
            run_dir,
            cgroup: host
                .cgroup
                .as_ref()
                .map(|hierarchy| hierarchy.of_container(request.cgroup_parent.as_deref(), id)),
            tty: request.process.tty,
            rows: 0,
            cols: 0,
            open_stdin: request.process.open_stdin,
            primary_stdin: false,
            stdin_once: request.process.stdin_once,
            init: request.init,
            remove: request.auto_remove,
            tied: true,
            stop_signal,
            stop_timeout_s: request.process.stop_timeout.map_or(STOP_TIMEOUT_S, i64::from),
            restart: request.restart,
            log: log(id, request, image, &recipe)?,
            events: Some(self.paths.run_root.clone()),
            health: health(request, image),
            timeout_s: request.timeout,
            reaper: self.reaper(id)?,
            spec,
        };
        Ok((plan, recipe))
    }

    /// What a start needs of others: the containers that it joins, the addresses of its log daemon. Not for a look at
    /// its files.
    pub(crate) fn resolve(&self, plan: &mut Plan, request: &Request) -> Result<()> {
        plan.joins = self.joins(request)?;
        crate::logs::resolve(&mut plan.log)
    }

    /// The command that a supervisor becomes at its end.
    fn reaper(&self, id: &str) -> Result<Vec<String>> {
        let program = std::env::current_exe().map_err(Error::system("find our own executable"))?;
        let paths = [program.as_path(), &self.paths.root, &self.paths.run_root];
        let [program, root, run_root] = paths.map(text);
        let fixed = |word: &str| Ok(word.to_owned());
        [program, fixed("--root"), root, fixed("--run-root"), run_root, fixed(REAP), fixed(id)]
            .into_iter()
            .collect()
    }

    /// From here on things are made: the row first, the recipe last.
    fn make(
        &mut self,
        mut container: Container,
        image: &Defaults,
        plan: Plan,
        recipe: &Recipe,
        uses: &[volumes::Use],
    ) -> Result<Made> {
        let creating = lock::creating(&self.paths.creation_lock())?;
        self.insert(&mut container, image, uses)?;
        let dir = &plan.container_dir;
        let lock = match private_dir(dir).and_then(|()| lock::create(dir)) {
            Ok(lock) => lock,
            Err(e) => return Err(self.discard(&container, e)),
        };
        drop(creating);
        let filled = (|| {
            volumes::make(&recipe.mounts, uses, &self.paths)?;
            root_dir(&plan.rootfs.upper)?;
            private_dir(&plan.rootfs.work)?;
            Files::of(dir).write(&recipe.request, &recipe.hostname)?;
            recipe.write(dir)
        })();
        match filled {
            Ok(()) => {
                announce::labelled(&self.paths, &container, &recipe.labels, "create", &[]);
                Ok(Made { container, lock, plan, new: true })
            }
            Err(e) => Err(self.discard(&container, e)),
        }
    }

    /// Inserts the row, under a made-up name where the user gave none.
    fn insert(&mut self, container: &mut Container, image: &Defaults, uses: &[volumes::Use]) -> Result<()> {
        let store = self.store()?.clone();
        let given = !container.name.is_empty();
        let mut attempt = 0;
        loop {
            if !given {
                container.name = name::generate(attempt)?;
            }
            let inserted = state::write(&mut self.connection, |connection| {
                // It may have been removed since it was looked up.
                if let Some(manifest) = &image.manifest {
                    store.confirm(connection, manifest)?;
                }
                containers::insert(connection, container)?;
                volumes::record(connection, &container.id, uses, container.created_ns)
            });
            match inserted {
                Err(Error::NameInUse { .. }) if !given && attempt < NAME_ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    /// Takes back a container that could not be made whole; `cause` is what the user must hear.
    pub(crate) fn discard(&self, container: &Container, cause: Error) -> Error {
        // Whatever this leaves is found by the next reclaim, whose row is still there then.
        let _ = reclaim::release(
            &self.connection,
            &self.paths,
            &Container { auto_remove: true, ..container.clone() },
            None,
        );
        cause
    }
}

/// The hidden command that finishes what a supervisor without a client has left to do.
pub const REAP: &str = "reap";

/// How it is logged. Its name is put in when it is started: by then it has one.
fn log(id: &str, request: &Request, image: &Defaults, recipe: &Recipe) -> Result<LogPlan> {
    let plan = LogPlan {
        driver: request.log.driver.clone().unwrap_or_else(|| DEFAULT_DRIVER.to_owned()),
        options: request.log.options.clone(),
        subject: Subject {
            id: id.to_owned(),
            name: String::new(),
            image_id: image.id.clone(),
            image_name: request.image.clone(),
            labels: recipe.labels.clone(),
            env: recipe.environment.clone(),
        },
        addresses: Vec::new(),
    };
    sandbox_shim::log::validate(&plan.driver, &plan.options).map_err(Error::Invalid)?;
    Ok(plan)
}

/// What the request says of health checks, over what the image says.
fn health(request: &Request, image: &Defaults) -> Option<plan::Health> {
    let wish = request.health.clone().unwrap_or_default().over(image.health.as_ref());
    wish.plan()
}

fn recipe(
    id: &str,
    request: &Request,
    image: &Defaults,
    mounts: Vec<Resolved>,
    spec: &Spec,
    stop_signal: i32,
) -> Recipe {
    let process = spec.process().as_ref();
    let mut labels: std::collections::BTreeMap<String, String> =
        image.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    labels.extend(request.labels.clone());
    Recipe {
        request: request.clone(),
        mounts,
        arguments: process.and_then(|process| process.args().clone()).unwrap_or_default(),
        environment: process.and_then(|process| process.env().clone()).unwrap_or_default(),
        working_dir: process.map_or_else(String::new, |process| process.cwd().display().to_string()),
        hostname: spec::hostname(id, request),
        user: request.process.user.clone().unwrap_or_else(|| image.user.clone()),
        stop_signal,
        labels,
    }
}

/// The upper directory's mode is the mode of the container's `/`.
fn root_dir(path: &Path) -> Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    rustix::fs::mkdir(path, mode).map_err(Error::io("create directory", path))?;
    rustix::fs::chmod(path, mode).map_err(Error::io("change the mode of", path))
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::invalid(format!("{} is not UTF-8; choose another --root or --run-root", path.display()))
    })
}
