//! How figures and tables look: Docker's conventions.

pub(crate) mod container;
pub(crate) mod duration;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod size;
pub(crate) mod tab;
pub(crate) mod table;
pub(crate) mod text;

use std::io::Write;

use crate::failure::Failure;

/// Writes to stdout; a reader that has seen enough is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::plain(format!("write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// [`print`] with a line end.
pub(crate) fn print_line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}
