//! The engine itself: what a front end holds.

use std::cell::OnceCell;

use rusqlite::Connection;
use sandbox_image::Store;
use sandbox_shim::plan::{Plan, Rootfs};
use sandbox_shim::wire::Exit;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::Mode;

use crate::clock::realtime_ns;
use crate::error::{Error, Result};
use crate::image::Defaults;
use crate::installation::Installation;
use crate::isolation::{self, Host};
use crate::lock::{self, Lock};
use crate::parse::signal;
use crate::paths::{Paths, private_dir};
use crate::reclaim;
use crate::request::Request;
use crate::spawn;
use crate::spec::{self, Files, Resolved};
use crate::state::containers::{self, Container, End, State};
use crate::state::{self};
use crate::volumes;
use crate::{id, name};

/// The request, in the container's directory.
pub(crate) const CONFIG: &str = "config.json";
/// The last plan that it was to be started by, beside it.
pub(crate) const PLAN: &str = "plan.json";
/// Seconds between the stop signal and SIGKILL, Docker's.
const STOP_TIMEOUT_S: u32 = 10;
/// How often a made-up name may be taken already.
const NAME_ATTEMPTS: u32 = 20;

/// State, installation and paths of one command.
#[derive(Debug)]
pub struct Engine {
    pub(crate) paths: Paths,
    pub(crate) installation: Installation,
    pub(crate) connection: Connection,
    /// Opened by whoever needs it first.
    pub(crate) store: OnceCell<Store>,
    problems: Vec<Error>,
}

/// A container that was made: its row, its directories, its lock, its plan.
#[derive(Debug)]
pub struct Created {
    container: Container,
    lock: Lock,
    plan: PathBuf,
}

/// A container whose supervisor runs. The lock is held by us and by it.
#[derive(Debug)]
pub struct Running {
    container: Container,
    lock: Lock,
    supervisor: Pid,
}

/// How a run ended, as the front end learned it over the connection.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The process ended.
    Exited(Exit),
    /// It never ran.
    StartFailed { message: String, exit_code: u8 },
    /// The connection ended without a word.
    Lost,
}

/// The terminal of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub cols: u16,
}

impl Engine {
    /// Opens the state and reclaims what dead commands left.
    pub fn open(paths: Paths, installation: Installation) -> Result<Engine> {
        paths.prepare()?;
        let connection = state::open(&paths.database())?;
        let problems = reclaim::reap(&connection, &paths)?;
        Ok(Engine { paths, installation, connection, store: OnceCell::new(), problems })
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

    /// All containers, newest first.
    pub fn containers(&self) -> Result<Vec<Container>> {
        containers::list(&self.connection)
    }

    /// Makes a container. Everything that can be refused is refused before anything is made.
    pub fn create(&mut self, request: &Request, image: &Defaults, size: Size) -> Result<Created> {
        let host = Host::look(&request.limits);
        isolation::check(request, &host)?;
        let isolation_plan = isolation::plan(request, &host, &self.installation)?;
        let id = id::generate()?;
        let (mounts, uses) = volumes::resolve(request, &image.volumes, &self.paths)?;
        let dir = self.paths.container(&id);
        let files = Files::of(&dir);
        let spec = spec::build(&spec::Input { id: &id, request, image, mounts: &mounts, files: &files })?;
        let stop_signal = match (request.process.stop_signal, &image.stop_signal) {
            (Some(number), _) => number,
            (None, Some(text)) if !text.is_empty() => {
                signal::parse(text).map_err(|e| Error::invalid(format!("the image's stop signal: {e}")))?
            }
            _ => libc::SIGTERM,
        };
        let run_dir = self.paths.run(&id);
        let cgroup = host.cgroup.as_ref().map(|hierarchy| hierarchy.of_container(&id));
        let plan = Plan {
            id: id.clone(),
            isolation: isolation_plan,
            spec,
            user: request.process.user.clone().unwrap_or_else(|| image.user.clone()),
            extra_groups: request.process.groups.clone(),
            rootfs: Rootfs {
                lower: image.layers.clone(),
                upper: dir.join("upper"),
                work: dir.join("work"),
                volatile: request.auto_remove,
            },
            container_dir: dir,
            run_dir: run_dir.clone(),
            cgroup: cgroup.clone(),
            tty: request.process.tty,
            rows: size.rows,
            cols: size.cols,
            open_stdin: request.process.open_stdin,
            init: request.init,
            remove: request.auto_remove,
            tied: true,
            stop_signal,
            stop_timeout_s: request.process.stop_timeout.unwrap_or(STOP_TIMEOUT_S),
        };
        let container = Container {
            id,
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
            run_dir: text(&run_dir)?,
            cgroup: cgroup.as_deref().map(text).transpose()?,
        };
        self.make(container, image, &plan, request, &mounts, &uses, &files)
    }

    /// From here on things are made: the row first.
    #[expect(clippy::too_many_arguments, reason = "all that was worked out before")]
    fn make(
        &mut self,
        mut container: Container,
        image: &Defaults,
        plan: &Plan,
        request: &Request,
        mounts: &[Resolved],
        uses: &[volumes::Use],
        files: &Files,
    ) -> Result<Created> {
        let creating = lock::creating(&self.paths.creation_lock())?;
        self.insert(&mut container, image, uses)?;
        let made = private_dir(&plan.container_dir).and_then(|()| lock::create(&plan.container_dir));
        let lock = match made {
            Ok(lock) => lock,
            Err(e) => return Err(self.discard(&container, e)),
        };
        drop(creating);
        let filled = (|| {
            volumes::make(mounts, uses, &self.paths)?;
            root_dir(&plan.rootfs.upper)?;
            private_dir(&plan.rootfs.work)?;
            let hostname = plan.spec.hostname().as_deref().unwrap_or_default();
            files.write(request, hostname)?;
            write_json(&plan.container_dir.join(CONFIG), request)?;
            private_dir(&plan.run_dir)?;
            write_json(&plan.container_dir.join(PLAN), plan)?;
            let path = plan.run_dir.join(PLAN);
            write_json(&path, plan)?;
            Ok(path)
        })();
        match filled {
            Ok(plan) => Ok(Created { container, lock, plan }),
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
    fn discard(&self, container: &Container, cause: Error) -> Error {
        // Whatever this leaves is found by the next reclaim, whose row is still there then.
        let _ = reclaim::release(
            &self.connection,
            &self.paths,
            &Container { auto_remove: true, ..container.clone() },
            None,
        );
        cause
    }

    /// Starts the supervisor. The connection is the front end's to speak [`sandbox_shim::wire`] on.
    pub fn start(&self, created: Created) -> Result<(Running, UnixStream)> {
        let spawned = self
            .installation
            .shim()
            .and_then(|program| spawn::supervisor(&program, &created.plan, &created.lock));
        match spawned {
            Ok((connection, supervisor)) => {
                Ok((Running { container: created.container, lock: created.lock, supervisor }, connection))
            }
            Err(e) => Err(self.discard(&created.container, e)),
        }
    }

    /// Waits for the supervisor's end, writes down how the container ended, and releases everything. What could
    /// not be released is the second value: the next command tries again, and the container's end stands.
    pub fn finish(&self, running: Running, outcome: Outcome) -> (Exit, Result<()>) {
        let Running { container, lock, supervisor } = running;
        let silent = match wait_for(supervisor) {
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                format!("the supervisor of the container was killed by {signal}")
            }
            Ok(WaitStatus::Exited(_, code)) => {
                format!("the supervisor of the container ended with exit code {code}")
            }
            other => format!("the supervisor of the container is gone: {other:?}"),
        };
        let end = match outcome {
            Outcome::Exited(exit) => end_of(exit),
            Outcome::StartFailed { message, exit_code } => {
                end_of(Exit { code: exit_code, oom_killed: false, error: Some(message) })
            }
            Outcome::Lost => reclaim::last_word(&self.paths.container(&container.id), &silent)
                .unwrap_or_else(|e| {
                    end_of(Exit { code: 137, oom_killed: false, error: Some(e.to_string()) })
                }),
        };
        let exit = Exit { code: end.exit_code, oom_killed: end.oom_killed, error: end.error.clone() };
        let released = reclaim::release(&self.connection, &self.paths, &container, Some(end));
        drop(lock);
        (exit, released)
    }
}

impl Created {
    pub fn id(&self) -> &str {
        &self.container.id
    }
    pub fn name(&self) -> &str {
        &self.container.name
    }
}

impl Running {
    pub fn id(&self) -> &str {
        &self.container.id
    }
    /// Process id of the supervisor.
    pub fn supervisor(&self) -> Pid {
        self.supervisor
    }
}

fn wait_for(child: Pid) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(child, None) {
            Err(nix::Error::EINTR) => {}
            other => return other,
        }
    }
}

fn end_of(exit: Exit) -> End {
    let Exit { code, oom_killed, error } = exit;
    End { exit_code: code, oom_killed, error, finished_ns: realtime_ns() }
}

/// The upper directory's mode is the mode of the container's `/`.
fn root_dir(path: &Path) -> Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    rustix::fs::mkdir(path, mode).map_err(Error::io("create directory", path))?;
    rustix::fs::chmod(path, mode).map_err(Error::io("change the mode of", path))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec(value)
        .map_err(|source| Error::Json { what: path.display().to_string(), source })?;
    std::fs::write(path, json).map_err(Error::io("write", path))
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::invalid(format!("{} is not UTF-8; choose another --root or --run-root", path.display()))
    })
}
