//! `sandbox diff`.

use std::fmt::Write;

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::files::DiffFlags;
use crate::format;

pub(in crate::commands) fn run(global: &Global, flags: &DiffFlags) -> Result<u8, Failure> {
    if flags.container.trim().is_empty() {
        return Err(Failure::plain("Container name cannot be empty"));
    }
    let changes = crate::commands::engine(global)?.diff(&flags.container)?;
    let mut text = String::new();
    for change in changes {
        // Names come from the container: what would move the cursor is shown as it is written.
        let path: String = String::from_utf8_lossy(&change.path)
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect();
        let _ = writeln!(text, "{} {path}", change.kind);
    }
    format::print(&text)?;
    Ok(0)
}
