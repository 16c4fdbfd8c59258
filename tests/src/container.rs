//! A container of a test's own on the root that all tests share.

use std::time::{Duration, Instant};

use crate::{Isolation, Output, Sandbox};

/// Emulation is slow; a pass takes a fraction of this.
pub const LIMIT: Duration = Duration::from_mins(3);

/// Removed at its test's end.
#[derive(Debug)]
pub struct Container {
    pub name: String,
}

impl Container {
    /// `run -d --name NAME FLAGS alpine COMMAND`.
    #[track_caller]
    pub fn started(isolation: Isolation, name: &str, flags: &[&str], command: &[&str]) -> Self {
        let container = Self::new(isolation, name);
        let out = make("run", isolation, &container.name, &[&["-d"], flags].concat(), command).expect_code(0);
        assert_eq!(out.stdout.trim().len(), 64, "the id: {out:?}");
        container
    }

    /// `create --name NAME FLAGS alpine COMMAND`.
    #[track_caller]
    pub fn created(isolation: Isolation, name: &str, flags: &[&str], command: &[&str]) -> Self {
        let container = Self::new(isolation, name);
        make("create", isolation, &container.name, flags, command).expect_code(0);
        container
    }

    /// For one that the test makes itself.
    pub fn new(isolation: Isolation, name: &str) -> Self {
        Self { name: format!("{name}-{}", isolation.name()) }
    }

    /// `VERB ARGUMENTS NAME`.
    pub fn does(&self, verb: &[&str]) -> Output {
        sandbox(&[verb, &[self.name.as_str()]].concat())
    }

    /// `exec NAME COMMAND`.
    pub fn exec(&self, command: &[&str]) -> Output {
        sandbox(&[&["exec", self.name.as_str()], command].concat())
    }

    /// Waits until `exec NAME COMMAND` succeeds.
    #[track_caller]
    pub fn until(&self, command: &[&str]) {
        until(|| self.exec(command), |out| out.code == 0);
    }

    /// `inspect -f TEMPLATE NAME`, without the line's end.
    #[track_caller]
    pub fn inspect(&self, template: &str) -> String {
        self.does(&["inspect", "-f", template]).expect_code(0).stdout.trim_end().to_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.does(&["rm", "-f", "-v"]);
    }
}

/// Any command on the root that all tests share.
pub fn sandbox(arguments: &[&str]) -> Output {
    Sandbox::shared().sandbox(arguments)
}

/// `VERB --isolation I --name NAME FLAGS alpine COMMAND`.
pub fn make(verb: &str, isolation: Isolation, name: &str, flags: &[&str], command: &[&str]) -> Output {
    let fixed = [verb, "--isolation", isolation.name(), "--name", name];
    sandbox(&[&fixed, flags, &["alpine"], command].concat())
}

/// Looks again and again until what is seen is as it should be; the last that was seen when it never is.
#[track_caller]
pub fn until<T: std::fmt::Debug>(look: impl Fn() -> T, right: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        let seen = look();
        if right(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "does not come true; the last that was seen: {seen:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
