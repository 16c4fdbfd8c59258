//! One file per command.

mod container;
mod doctor;
mod image;
mod output_file;
mod registry;
mod system;

use sandbox_engine::{Engine, Installation, Paths, Registries, Settings};

use crate::failure::Failure;
use crate::flags::containers::ContainerCommand;
use crate::flags::image::ImageCommand;
use crate::flags::system::SystemCommand;
use crate::flags::value::Filter;
use crate::flags::{BenchCommand, Cli, Command, Global};

/// Runs the command; the exit code of the process is what comes back.
pub(crate) fn dispatch(cli: Cli, started_ns: u64) -> Result<u8, Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Run(flags) | Command::Container { what: ContainerCommand::Run(flags) } => {
            container::run::run(global, &flags, started_ns)
        }
        Command::Attach(flags) | Command::Container { what: ContainerCommand::Attach(flags) } => {
            container::attach::run(global, &flags)
        }
        Command::Create(flags) | Command::Container { what: ContainerCommand::Create(flags) } => {
            container::create::run(global, &flags)
        }
        Command::Exec(flags) | Command::Container { what: ContainerCommand::Exec(flags) } => {
            container::exec::run(global, &flags)
        }
        Command::Kill(flags) | Command::Container { what: ContainerCommand::Kill(flags) } => {
            container::kill::run(global, &flags)
        }
        Command::Rename(flags) | Command::Container { what: ContainerCommand::Rename(flags) } => {
            container::rename::run(global, &flags)
        }
        Command::Restart(flags) | Command::Container { what: ContainerCommand::Restart(flags) } => {
            container::stop::restart(global, &flags)
        }
        Command::Rm(flags) | Command::Container { what: ContainerCommand::Rm(flags) } => {
            container::remove::run(global, &flags)
        }
        Command::Start(flags) | Command::Container { what: ContainerCommand::Start(flags) } => {
            container::start::run(global, &flags)
        }
        Command::Stop(flags) | Command::Container { what: ContainerCommand::Stop(flags) } => {
            container::stop::stop(global, &flags)
        }
        Command::Wait(flags) | Command::Container { what: ContainerCommand::Wait(flags) } => {
            container::wait::run(global, &flags)
        }
        Command::Pause(flags) | Command::Container { what: ContainerCommand::Pause(flags) } => {
            container::pause::pause(global, &flags)
        }
        Command::Port(flags) | Command::Container { what: ContainerCommand::Port(flags) } => {
            container::port::run(global, &flags)
        }
        Command::Ps(flags) | Command::Container { what: ContainerCommand::Ls(flags) } => {
            container::list::run(global, &flags)
        }
        Command::Container { what: ContainerCommand::Inspect(flags) } => {
            container::inspect::run(global, &flags)
        }
        Command::Container { what: ContainerCommand::Prune(flags) } => container::prune::run(global, &flags),
        Command::Stats(flags) | Command::Container { what: ContainerCommand::Stats(flags) } => {
            container::stats::run(global, &flags)
        }
        Command::Top(flags) | Command::Container { what: ContainerCommand::Top(flags) } => {
            container::top::run(global, &flags)
        }
        Command::Unpause(flags) | Command::Container { what: ContainerCommand::Unpause(flags) } => {
            container::pause::unpause(global, &flags)
        }
        Command::Update(flags) | Command::Container { what: ContainerCommand::Update(flags) } => {
            container::update::run(global, &flags)
        }
        Command::Reap(flags) => reap(global, &flags.id),
        Command::Pull(flags) | Command::Image { what: ImageCommand::Pull(flags) } => {
            image::pull::run(global, &flags)
        }
        Command::Push(flags) | Command::Image { what: ImageCommand::Push(flags) } => {
            image::push::run(global, &flags)
        }
        Command::Images(flags) => image::list::run(global, &flags, true),
        Command::Image { what: ImageCommand::Ls(flags) } => image::list::run(global, &flags, false),
        Command::History(flags) | Command::Image { what: ImageCommand::History(flags) } => {
            image::history::run(global, &flags)
        }
        Command::Import(flags) | Command::Image { what: ImageCommand::Import(flags) } => {
            image::import::run(global, &flags)
        }
        Command::Image { what: ImageCommand::Inspect(flags) } => image::inspect::run(global, &flags),
        Command::Load(flags) | Command::Image { what: ImageCommand::Load(flags) } => {
            image::load::run(global, &flags)
        }
        Command::Image { what: ImageCommand::Prune(flags) } => image::prune::run(global, &flags),
        Command::Rmi(flags) | Command::Image { what: ImageCommand::Rm(flags) } => {
            image::remove::run(global, &flags)
        }
        Command::Save(flags) | Command::Image { what: ImageCommand::Save(flags) } => {
            image::save::run(global, &flags)
        }
        Command::Tag(flags) | Command::Image { what: ImageCommand::Tag(flags) } => {
            image::tag::run(global, &flags)
        }
        Command::Cp(flags) | Command::Container { what: ContainerCommand::Cp(flags) } => {
            container::cp::run(global, &flags)
        }
        Command::Diff(flags) | Command::Container { what: ContainerCommand::Diff(flags) } => {
            container::diff::run(global, &flags)
        }
        Command::Export(flags) | Command::Container { what: ContainerCommand::Export(flags) } => {
            container::export::run(global, &flags)
        }
        Command::Commit(flags) | Command::Container { what: ContainerCommand::Commit(flags) } => {
            container::commit::run(global, &flags)
        }
        Command::Login(flags) => registry::login::run(global, &flags),
        Command::Logout(flags) => registry::logout::run(global, &flags),
        Command::Search(flags) => registry::search::run(global, &flags),
        Command::Inspect(flags) => system::inspect::run(global, &flags),
        Command::System { what: SystemCommand::Boot } => system::boot::run(global),
        Command::System { what: SystemCommand::Check(flags) } => system::check::run(global, &flags),
        Command::System { what: SystemCommand::Df(flags) } => system::df::run(global, &flags),
        Command::Info(flags) | Command::System { what: SystemCommand::Info(flags) } => {
            system::info::run(global, &flags)
        }
        Command::System { what: SystemCommand::Prune(flags) } => system::prune::run(global, &flags),
        Command::Version(flags) => system::version::run(&flags),
        Command::Events(flags) | Command::System { what: SystemCommand::Events(flags) } => {
            system::events::run(global, &flags)
        }
        Command::Logs(flags) | Command::Container { what: ContainerCommand::Logs(flags) } => {
            container::logs::run(global, &flags)
        }
        Command::Doctor(flags) => doctor::run(global, &flags),
        Command::Bench { what: BenchCommand::Startup(flags) } => crate::bench::run(global, &flags),
    }
}

/// The engine of this command line; what reclaim could not do is a warning and stops nothing.
fn engine(global: &Global) -> sandbox_engine::Result<Engine> {
    engine_of(&global.settings()?)
}

/// The same for who needs the settings besides.
fn engine_of(settings: &Settings) -> sandbox_engine::Result<Engine> {
    let engine = quiet_engine(settings)?;
    for problem in engine.problems() {
        eprintln!("WARNING: cannot clean up after a container that was killed: {problem}");
    }
    Ok(engine)
}

/// The same for who tells of the problems himself.
fn quiet_engine(settings: &Settings) -> sandbox_engine::Result<Engine> {
    let paths = Paths::new(&settings.root.value, &settings.run_root.value)?;
    Ok(Engine::open(paths, Installation::find()?)?.with_vm(settings.vm.clone()))
}

/// What a supervisor becomes. It says where everything is, and a configuration file that is wrong by now must not keep it.
fn reap(global: &Global, id: &str) -> Result<u8, Failure> {
    let (Some(root), Some(run_root)) = (&global.root, &global.run_root) else {
        return Err(Failure::plain("this command is run by supervisors only"));
    };
    Engine::open(Paths::new(root, run_root)?, Installation::find()?)?.reap_own(id)?;
    Ok(0)
}

/// The registries of this command line.
fn registries(global: &Global) -> sandbox_engine::Result<Registries> {
    Registries::open(&global.config)
}

fn pairs(filters: &[Filter]) -> impl Iterator<Item = (&str, &str)> {
    filters.iter().map(|filter| (filter.key.as_str(), filter.value.as_str()))
}

/// A time of the command line, in nanoseconds since 1970.
fn moment(flag: &str, text: Option<&str>) -> Result<Option<i64>, Failure> {
    let parsed = text.filter(|text| !text.is_empty()).map(|text| {
        sandbox_engine::parse::timestamp::parse_ns(text, sandbox_engine::realtime_ns())
            .map_err(|error| Failure::plain(format!("invalid value for {flag:?}: {error}")))
    });
    parsed.transpose()
}

/// The end of a command that wrote to its streams; a reader that has seen enough is no error.
fn show(written: std::io::Result<()>) -> Result<u8, Failure> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::plain(format!("write to standard output: {error}")))
        }
        _ => Ok(0),
    }
}
