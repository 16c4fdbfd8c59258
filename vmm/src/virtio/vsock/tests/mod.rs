//! The device against a mock guest that speaks the protocol as Linux does, with real sockets on the host's side.

mod bulk;
mod closing;
mod connecting;
mod credit;
mod guest;
mod hostile;
mod machine;
