//! The entropy device: random numbers into guest memory; getrandom itself is in the base.

use libc::{SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_wait};

use super::rule::{Rule, allow};

pub(super) const RULES: &[Rule] = &[allow(SYS_epoll_wait), allow(SYS_epoll_pwait), allow(SYS_epoll_ctl)];
