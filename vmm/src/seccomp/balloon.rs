//! The balloon: madvise, which is in the base, and holes where memory is a file.

use libc::{SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_wait, SYS_fallocate};

use super::rule::{Rule, allow};

pub(super) const RULES: &[Rule] =
    &[allow(SYS_epoll_wait), allow(SYS_epoll_pwait), allow(SYS_epoll_ctl), allow(SYS_fallocate)];
