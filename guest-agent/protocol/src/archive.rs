//! Files into and out of a container.

use super::Stdio;

/// Runs one request of the container core's archives on a running container's root.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Archive {
    #[prost(string, tag = "1")]
    pub container: String,
    /// Names the work in later requests, as that of an exec; not empty.
    #[prost(string, tag = "2")]
    pub exec: String,
    /// The core's `Archive`, JSON.
    #[prost(bytes = "vec", tag = "3")]
    pub request: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    pub stdio: Option<Stdio>,
}
