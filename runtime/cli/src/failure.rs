//! How a command fails: Docker's form of the message on stderr, and the exit code.

use std::process::ExitCode;

/// Anything of the engine, flags or surroundings before a container runs.
pub(crate) const ENGINE: u8 = 125;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
    /// `sandbox run`: adds Docker's pointer to its help.
    help: Option<&'static str>,
}

impl Failure {
    /// A failure of `run`, exit code 125 unless [`Failure::code`] changes it.
    pub(crate) fn run(message: impl std::fmt::Display) -> Failure {
        Failure { message: message.to_string(), code: ENGINE, help: Some("sandbox run") }
    }

    /// A failure of any other command, exit code 1.
    pub(crate) fn plain(message: impl std::fmt::Display) -> Failure {
        Failure { message: message.to_string(), code: 1, help: None }
    }

    pub(crate) fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    fn text(&self) -> String {
        let help = self.help.map(|command| format!("\n\nRun '{command} --help' for more information"));
        format!("sandbox: {}{}", self.message, help.unwrap_or_default())
    }

    pub(crate) fn print(&self) -> ExitCode {
        eprintln!("{}", self.text());
        ExitCode::from(self.code)
    }
}

impl From<sandbox_engine::Error> for Failure {
    fn from(error: sandbox_engine::Error) -> Failure {
        Failure::plain(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_form() {
        assert_eq!(
            Failure::run("no command specified").text(),
            "sandbox: no command specified\n\nRun 'sandbox run --help' for more information"
        );
        assert_eq!(Failure::plain("x").code(7).code, 7);
        assert_eq!(Failure::plain("x").text(), "sandbox: x");
    }
}
