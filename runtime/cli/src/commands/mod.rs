//! One file per command.

mod doctor;
mod images;
mod load;
mod run;

use sandbox_engine::{Engine, Installation, Paths};

use crate::failure::Failure;
use crate::flags::{BenchCommand, Cli, Command, Global};

/// Runs the command; the exit code of the process is what comes back.
pub(crate) fn dispatch(cli: Cli, started_ns: u64) -> Result<u8, Failure> {
    match cli.command {
        Command::Run(flags) => run::run(&cli.global, &flags, started_ns),
        Command::Load(flags) => load::run(&cli.global, &flags),
        Command::Images(flags) => images::run(&cli.global, &flags),
        Command::Doctor(flags) => doctor::run(&cli.global, &flags),
        Command::Bench { what: BenchCommand::Startup(flags) } => crate::bench::run(&cli.global, &flags),
    }
}

/// The engine of this command line; what reclaim could not do is a warning and stops nothing.
fn engine(global: &Global) -> sandbox_engine::Result<Engine> {
    let paths = Paths::new(&global.root, &global.run_root)?;
    let engine = Engine::open(paths, Installation::find()?)?;
    for problem in engine.problems() {
        eprintln!("WARNING: cannot clean up after a container that was killed: {problem}");
    }
    Ok(engine)
}
