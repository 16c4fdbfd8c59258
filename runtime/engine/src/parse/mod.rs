//! The grammar of Docker's flag values, each in a file of its own. Every function takes the text a
//! user wrote and answers with the value or with the message Docker gives; nothing here touches the
//! machine, except for environment files and seccomp profiles, which are read.

pub mod block_io;
pub mod device;
pub mod duration;
pub mod environment;
pub mod limit;
pub mod mount;
pub mod mount_flag;
pub mod namespace;
pub mod port;
pub mod restart;
pub mod security;
pub mod signal;
pub mod size;
pub mod timestamp;
pub mod tmpfs;
pub mod ulimit;
pub mod volume;
pub mod volumes_from;
