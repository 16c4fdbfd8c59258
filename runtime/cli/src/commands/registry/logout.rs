//! `sandbox logout`.

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::registry::LogoutFlags;
use crate::format;

pub(in crate::commands) fn run(global: &Global, flags: &LogoutFlags) -> Result<u8, Failure> {
    let registries = crate::commands::registries(global)?;
    let logout = registries.logout(flags.server.as_deref().unwrap_or_default())?;
    format::print_line(&format!("Removing login credentials for {}", logout.server))?;
    if !logout.removed {
        eprintln!("Not logged in to {}", logout.server);
    }
    Ok(0)
}
