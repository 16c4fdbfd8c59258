//! `sandbox doctor`.

use std::process::{Command, Stdio};
use std::time::Instant;

use sandbox_engine::doctor::{Finding, Level, examine};
use sandbox_engine::{Installation, Paths};

use crate::failure::Failure;
use crate::flags::{DoctorFlags, Global};
use crate::format::print_line;

/// What the boot of a guest needs.
const BOOT_NEEDS: [&str; 7] =
    ["privileges", "kvm", "overlay", "supervisor", "monitor", "guest kernel", "initramfs"];
/// A guest that takes longer is not one to work with, milliseconds.
const BOOT_DEADLINE_MS: &str = "20000";

pub(super) fn run(global: &Global, flags: &DoctorFlags) -> Result<u8, Failure> {
    let settings = global.settings()?;
    let paths = Paths::new(&settings.root.value, &settings.run_root.value)?;
    let installation = Installation::find()?.with_kernel(settings.vm.kernel.value);
    let mut findings = examine(&paths, &installation);
    let ready = findings.iter().all(|f| f.level == Level::Ok || !BOOT_NEEDS.contains(&f.subject));
    if !flags.no_boot && ready {
        findings.push(boot(global));
    }
    let mut failed = false;
    for finding in &findings {
        failed |= finding.level == Level::Fail;
        print_line(&line(finding))?;
        if let Some(remedy) = &finding.remedy {
            print_line(&format!("      {remedy}"))?;
        }
    }
    Ok(u8::from(failed))
}

fn line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "fail",
    };
    format!("{level:<5} {}: {}", finding.subject, finding.detail)
}

/// The whole way, as a user goes it: a container of the embedded image in a VM.
fn boot(global: &Global) -> Finding {
    let began = Instant::now();
    let output = std::env::current_exe().and_then(|exe| {
        Command::new(exe)
            .args(global.arguments())
            .args(["run", "--rm", "--isolation=vm", sandbox_image::DEFAULT_IMAGE, "true"])
            .env("SANDBOX_VM_BOOT_DEADLINE_MS", BOOT_DEADLINE_MS)
            .stdin(Stdio::null())
            .output()
    });
    let subject = "guest boot";
    match output {
        Ok(output) if output.status.success() => Finding {
            level: Level::Ok,
            subject,
            detail: format!("a container in a VM took {} ms", began.elapsed().as_millis()),
            remedy: None,
        },
        Ok(output) => Finding {
            level: Level::Fail,
            subject,
            detail: String::from_utf8_lossy(&output.stderr).trim().replace('\n', "\n      "),
            remedy: Some(
                "this KVM runs a machine but does not boot the guest kernel; use --isolation=process"
                    .to_owned(),
            ),
        },
        Err(e) => Finding {
            level: Level::Warn,
            subject,
            detail: format!("could not be tried: {e}"),
            remedy: Some("run `sandbox run --rm --isolation=vm localhost/busybox true` by hand".to_owned()),
        },
    }
}
