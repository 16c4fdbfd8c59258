//! virtio-vsock (virtio 1.2, section 5.10), hybrid: guest ports are unix sockets of the host.
//!
//! The guest connects to port P of the host (CID 2) and reaches the unix socket `<uds_path>_<P>`; a host process
//! connects to `<uds_path>`, writes `CONNECT <port>\n` and reads `OK <host port>\n`. One worker thread serves all
//! connections in turn. Bytes move between guest memory and sockets without a copy of ours unless the socket is
//! full; then they wait in a buffer whose size is the credit that the guest was given.
//!
//! Refuses: packets with wrong context ids (dropped), unknown types, operations and connections (RST), more data
//! than the credit allows (RST), more than 1024 connections.

mod buffer;
mod connection;
mod credit;
mod device;
mod greeting;
mod host;
mod muxer;
mod packet;
mod service;
mod table;
mod to_guest;

pub use device::{Vsock, VsockHandle};
pub use host::{HostError, VsockHost, listen};

#[cfg(test)]
mod tests;
