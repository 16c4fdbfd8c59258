//! `sandbox export`.

use std::fs::File;
use std::io::{BufWriter, Write};

use crate::commands::output_file::Output;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::files::ExportFlags;
use crate::interrupt::Interrupt;

const BUFFER: usize = 256 << 10;

pub(in crate::commands) fn run(global: &Global, flags: &ExportFlags) -> Result<u8, Failure> {
    let stdout = rustix::stdio::stdout();
    if flags.output.is_none() && rustix::termios::isatty(stdout) {
        return Err(Failure::plain("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    let _interrupt = Interrupt::watch()?;
    let engine = crate::commands::engine(global)?;
    if let Some(path) = &flags.output {
        let failed =
            |error| Failure::plain(format!("failed to export container: {}: {error}", path.display()));
        let output = Output::create(path).map_err(failed)?;
        let mut writer = BufWriter::with_capacity(BUFFER, output.file());
        engine.export(&flags.container, &mut writer)?;
        writer.flush().map_err(failed)?;
        drop(writer);
        output.finish().map_err(failed)?;
        return Ok(0);
    }
    let failed = |error| Failure::plain(format!("write to standard output: {error}"));
    let file = File::from(stdout.try_clone_to_owned().map_err(failed)?);
    let mut writer = BufWriter::with_capacity(BUFFER, file);
    engine.export(&flags.container, &mut writer)?;
    writer.flush().map_err(failed)?;
    Ok(0)
}
