//! How a command fails: Docker's form of the message on stderr, and the exit code.

use std::process::ExitCode;

/// Anything of the engine, flags or surroundings before a container runs.
pub(crate) const ENGINE: u8 = 125;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// A failure of `run`, exit code 125 unless [`Failure::code`] changes it.
    pub(crate) fn run(message: impl std::fmt::Display) -> Failure {
        let text = format!("sandbox: {message}\n\nRun 'sandbox run --help' for more information");
        Failure { text, code: ENGINE }
    }

    /// A failure of the command line, exit code 1.
    pub(crate) fn plain(message: impl std::fmt::Display) -> Failure {
        Failure { text: format!("sandbox: {message}"), code: 1 }
    }

    /// What the engine refused, exit code 1.
    pub(crate) fn engine(message: impl std::fmt::Display) -> Failure {
        Failure { text: format!("Error: {message}"), code: 1 }
    }

    /// A whole line as it is, exit code 1.
    pub(crate) fn text_only(text: String) -> Failure {
        Failure { text, code: 1 }
    }

    /// Of a command that attempts every argument: a line for each that failed.
    pub(crate) fn all(failures: Vec<Failure>) -> Result<u8, Failure> {
        let code = failures.iter().map(|failure| failure.code).max();
        let lines: Vec<String> = failures.into_iter().map(|failure| failure.text).collect();
        code.map_or(Ok(0), |code| Err(Failure { text: lines.join("\n"), code }))
    }

    pub(crate) fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn print(&self) -> ExitCode {
        eprintln!("{}", self.text);
        ExitCode::from(self.code)
    }
}

impl From<sandbox_engine::Error> for Failure {
    fn from(error: sandbox_engine::Error) -> Failure {
        Failure::engine(error)
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
