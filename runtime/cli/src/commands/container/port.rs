//! `sandbox port`: what is published. As long as containers have no network of ours, nothing is.

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::containers::PortFlags;

pub(in crate::commands) fn run(global: &Global, flags: &PortFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    engine.find(&flags.container)?;
    match &flags.port {
        None => Ok(0),
        Some(port) => Err(Failure::text_only(refusal(port, &flags.container))),
    }
}

fn refusal(port: &str, container: &str) -> String {
    let number = port.split('/').next().unwrap_or_default();
    match number.parse::<u16>() {
        Ok(_) => format!("Error: No public port '{port}' published for {container}"),
        Err(_) => {
            format!("Error: invalid port ({number}): strconv.ParseUint: parsing {number:?}: invalid syntax")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        assert_eq!(refusal("80/tcp", "x"), "Error: No public port '80/tcp' published for x");
        assert_eq!(refusal("80", "x"), "Error: No public port '80' published for x");
        assert!(refusal("http", "x").starts_with("Error: invalid port (http)"));
    }
}
