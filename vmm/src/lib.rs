//! The virtual machine monitor: memory, vCPUs, virtio devices. Knows nothing of images, containers or the agent.

pub mod config;
pub mod control;
pub mod thread;
pub mod virtio;
