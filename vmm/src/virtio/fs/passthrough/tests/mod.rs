//! Every operation through the server, against a directory of the host.

mod acls;
mod attributes;
mod data;
mod listing;
mod locking;
mod names;
mod security;
