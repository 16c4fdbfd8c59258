//! Runs an OCI bundle with inherited streams and ends with its status: `run BUNDLE [ID]`.

use std::path::PathBuf;
use std::process::ExitCode;

use oci_spec::runtime::Spec;
use sandbox_container::{CreateOptions, Error, cgroup_mount_point, create};

fn run() -> Result<i32, Error> {
    let mut arguments = std::env::args().skip(1);
    let bundle = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let id = arguments.next().unwrap_or_else(|| format!("example-{}", std::process::id()));
    let spec = Spec::load(bundle.join("config.json")).map_err(|error| Error::Spec(error.to_string()))?;
    let mut options = CreateOptions::new(&id, &spec, &bundle);
    options.cgroup = Some(cgroup_mount_point()?.join("sandbox-example"));
    options.die_with_parent = true;
    let mut container = create(options)?;
    let started = container.start();
    let status = container.wait()?;
    container.delete()?;
    started.map(|()| status.code())
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("run: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
