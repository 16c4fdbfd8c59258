//! `sandbox login`.

use std::io::{BufRead, Read, Write};

use sandbox_engine::{Login, Registries};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::registry::LoginFlags;
use crate::format;
use crate::interrupt::Interrupt;
use crate::relay::terminal;

/// The longest password or token, bytes.
const LONGEST: u64 = 64 << 10;

pub(in crate::commands) fn run(global: &Global, flags: &LoginFlags) -> Result<u8, Failure> {
    verify(flags)?;
    let _interrupt = Interrupt::watch()?;
    let registries = crate::commands::registries(global)?;
    let server = flags.server.as_deref().unwrap_or_default();
    let login = if let Some(login) = stored(&registries, flags, server)? {
        login
    } else {
        let (user, password) = credentials(&registries, flags, server)?;
        registries.login(server, &user, &password)?
    };
    if let Some(warning) = &login.warning {
        eprintln!("{warning}");
    }
    format::print_line(login.status)?;
    Ok(0)
}

fn reads_stdin(flags: &LoginFlags) -> bool {
    flags.password_stdin || flags.password.as_deref() == Some("-")
}

fn verify(flags: &LoginFlags) -> Result<(), Failure> {
    let refused = if reads_stdin(flags) && flags.password.as_deref().is_some_and(|password| password != "-") {
        "conflicting options: cannot specify both --password and --password-stdin"
    } else if reads_stdin(flags) && flags.username.is_none() {
        "the --password-stdin option requires --username to be set"
    } else if flags.username.as_deref() == Some("") {
        "username is empty"
    } else if flags.password.as_deref() == Some("") {
        "password is empty"
    } else {
        return Ok(());
    };
    Err(Failure::plain(refused))
}

/// A login with what is kept for the server, when nothing else was given.
fn stored(registries: &Registries, flags: &LoginFlags, server: &str) -> Result<Option<Login>, Failure> {
    if flags.username.is_some() || flags.password.is_some() {
        return Ok(None);
    }
    let Some(user) = registries.stored_user(server)? else { return Ok(None) };
    eprintln!("Authenticating with existing credentials... [Username: {user}]");
    match registries.login_again(server) {
        Ok(login) => Ok(login),
        Err(error) => {
            eprintln!("Login did not succeed, error: {error}");
            Ok(None)
        }
    }
}

fn credentials(
    registries: &Registries,
    flags: &LoginFlags,
    server: &str,
) -> Result<(String, String), Failure> {
    if reads_stdin(flags) {
        let password = password_of(std::io::stdin().lock())?;
        return Ok((flags.username.clone().unwrap_or_default(), password));
    }
    if let Some(password) = &flags.password {
        eprintln!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        if let Some(user) = &flags.username {
            return Ok((user.clone(), password.clone()));
        }
    }
    if !terminal::is_stdin_terminal() {
        return Err(Failure::plain("error: cannot perform an interactive login from a non-TTY device"));
    }
    let user = match &flags.username {
        Some(user) => user.clone(),
        None => ask_user(registries.stored_user(server)?)?,
    };
    let password = match &flags.password {
        Some(password) => password.clone(),
        None => ask_password()?,
    };
    Ok((user, password))
}

fn ask_user(known: Option<String>) -> Result<String, Failure> {
    let prompt = match &known {
        Some(known) => format!("Username ({known}): "),
        None => "Username: ".to_owned(),
    };
    let user = ask(&prompt)?;
    let user = if user.is_empty() { known.unwrap_or_default() } else { user };
    if user.is_empty() { Err(Failure::plain("error: username is required")) } else { Ok(user) }
}

fn ask_password() -> Result<String, Failure> {
    let silent = terminal::Silent::enter()
        .map_err(|error| Failure::plain(format!("hide what is typed on the terminal: {error}")))?;
    let password = ask("Password: ");
    drop(silent);
    format::print_line("")?;
    let password = password?;
    if password.is_empty() { Err(Failure::plain("error: password is required")) } else { Ok(password) }
}

fn ask(prompt: &str) -> Result<String, Failure> {
    let failed = |error| Failure::plain(format!("ask for credentials: {error}"));
    format::print(prompt)?;
    std::io::stdout().flush().map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().lock().take(LONGEST).read_line(&mut line).map_err(failed)?;
    Ok(line.trim().to_owned())
}

/// All of it but one line end; what else is in it may belong to it.
fn password_of(input: impl Read) -> Result<String, Failure> {
    let mut password = String::new();
    input
        .take(LONGEST)
        .read_to_string(&mut password)
        .map_err(|error| Failure::plain(format!("read the password from standard input: {error}")))?;
    let ends = ["\r\n", "\n", "\r"];
    let end = ends.iter().find(|end| password.ends_with(*end)).map_or(0, |end| end.len());
    password.truncate(password.len() - end);
    if password.trim().is_empty() { Err(Failure::plain("password is empty")) } else { Ok(password) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn flags(username: Option<&str>, password: Option<&str>, password_stdin: bool) -> LoginFlags {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        LoginFlags { password: owned(password), password_stdin, username: owned(username), server: None }
    }

    #[rstest]
    #[case(
        flags(Some("u"), Some("p"), true),
        "conflicting options: cannot specify both --password and --password-stdin"
    )]
    #[case(flags(None, None, true), "the --password-stdin option requires --username to be set")]
    #[case(flags(None, Some("-"), false), "the --password-stdin option requires --username to be set")]
    #[case(flags(Some(""), None, false), "username is empty")]
    #[case(flags(Some("u"), Some(""), false), "password is empty")]
    fn refused(#[case] flags: LoginFlags, #[case] want: &str) {
        assert_eq!(verify(&flags).unwrap_err().text(), format!("sandbox: {want}"));
    }

    #[test]
    fn accepted() {
        assert!(verify(&flags(Some("u"), Some("p"), false)).is_ok());
        assert!(verify(&flags(Some("u"), Some("-"), false)).is_ok());
        assert!(verify(&flags(None, None, false)).is_ok());
    }

    #[rstest]
    #[case("secret\n", "secret")]
    #[case("secret\r\n", "secret")]
    #[case(" two\nlines \n", " two\nlines ")]
    fn passwords_from_stdin(#[case] input: &str, #[case] want: &str) {
        assert_eq!(password_of(input.as_bytes()).unwrap(), want);
    }

    #[test]
    fn an_empty_password() {
        assert!(password_of(&b"\n"[..]).is_err());
    }
}
