//! `sandbox system check`.

use sandbox_engine::Finding;

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::system::CheckFlags;
use crate::format;
use crate::interrupt::Interrupt;

/// Exit code when something is not as it should be.
const FOUND: u8 = 1;

pub(in crate::commands) fn run(global: &Global, flags: &CheckFlags) -> Result<u8, Failure> {
    let _interrupt = Interrupt::watch()?;
    let findings = crate::commands::quiet_engine(&global.settings()?)?.check(flags.images, flags.repair)?;
    findings.iter().try_for_each(|finding| format::print_line(&line(finding)))?;
    // What was put right is as it should be now.
    Ok(if findings.iter().all(|finding| finding.repaired) { 0 } else { FOUND })
}

fn line(finding: &Finding) -> String {
    let state = if finding.repaired { "repaired: " } else { "" };
    format!("{state}{}", finding.problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_engine::Problem;

    #[test]
    fn lines() {
        let problem = Problem::Leftover("/var/lib/sandbox/containers/abc".into());
        assert_eq!(
            line(&Finding { problem: problem.clone(), repaired: false }),
            "/var/lib/sandbox/containers/abc belongs to no container; remove it with `sandbox system check --repair`"
        );
        assert!(line(&Finding { problem, repaired: true }).starts_with("repaired: /var"));
    }
}
