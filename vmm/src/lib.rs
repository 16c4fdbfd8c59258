//! The virtual machine monitor: memory, vCPUs, virtio devices. Knows nothing of images, containers or the agent.

pub mod arch;
pub mod bus;
pub mod cmdline;
pub mod config;
pub mod control;
pub mod jail;
pub mod legacy;
pub mod machine;
pub mod memory;
pub mod monitor;
pub mod seccomp;
pub mod thread;
pub mod vcpu;
pub mod virtio;
