//! Flags of Docker's that cannot mean anything here: they are known, so that the answer says why and what to do instead of
//! "unknown flag", and they are in no help.

use clap::Args;

use crate::failure::Failure;

#[derive(Debug, Default, Args)]
pub(crate) struct RefusedFlags {
    #[arg(long, value_name = "bytes", hide = true)]
    pub(crate) kernel_memory: Option<String>,
    #[arg(long, value_name = "list", hide = true)]
    pub(crate) link: Vec<String>,
    #[arg(long, value_name = "gpu-request", hide = true)]
    pub(crate) gpus: Option<String>,
    #[arg(long, value_name = "list", hide = true)]
    pub(crate) storage_opt: Vec<String>,
}

impl RefusedFlags {
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.kernel_memory.is_some() {
            return Err(Failure::run(
                "--kernel-memory: Linux has no limit on kernel memory alone any more; use -m, which counts it too",
            ));
        }
        if !self.link.is_empty() {
            return Err(Failure::run(
                "--link: links copy environments and addresses that change with each start; put the containers on one \
                 network with --network, where they find each other by name",
            ));
        }
        if let Some(gpus) = self.gpus.as_deref().filter(|gpus| !gpus.is_empty()) {
            return Err(Failure::run(format!(
                "could not select device driver \"\" with capabilities: [[gpu]]: --gpus {gpus} needs a vendor's hook, \
                 and hooks are not run; give the device nodes with --device (--isolation=process)"
            )));
        }
        match self.storage_opt.first() {
            None => Ok(()),
            Some(option) if option.split_once('=').is_some_and(|(key, _)| key == "size") => {
                Err(Failure::run(
                    "--storage-opt is supported only for overlay over xfs with 'pquota' mount option; limit the volumes' \
                 file systems instead, or use --read-only with --tmpfs PATH:size=N",
                ))
            }
            Some(option) => Err(Failure::run(format!("Unknown option {option}"))),
        }
    }
}
