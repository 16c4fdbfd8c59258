//! The command line and the working directory, from the request and the image.

use crate::error::{Error, Result};
use crate::image::Defaults;
use crate::parse::mount::clean_path;
use crate::request::Process;

/// Docker's rule: an entrypoint of the user's takes the image's command away with the image's entrypoint.
pub(crate) fn arguments(process: &Process, image: &Defaults) -> Result<Vec<String>> {
    let (mut arguments, image_command) = match &process.entrypoint {
        Some(entrypoint) if entrypoint.is_empty() => (vec![], &[][..]),
        Some(entrypoint) => (vec![entrypoint.clone()], &[][..]),
        None => (image.entrypoint.clone(), &image.command[..]),
    };
    let command = if process.command.is_empty() { image_command } else { &process.command[..] };
    arguments.extend_from_slice(command);
    if arguments.is_empty() {
        return Err(Error::invalid("no command specified"));
    }
    if arguments.iter().any(|a| a.contains('\0')) {
        return Err(Error::invalid("an argument of the command holds a NUL byte"));
    }
    Ok(arguments)
}

/// `-w`, else the image's, else the root.
pub(super) fn working_dir(process: &Process, image: &Defaults) -> Result<String> {
    let dir = process.working_dir.as_deref().or(image.working_dir.as_deref()).filter(|d| !d.is_empty());
    match dir {
        None => Ok("/".to_owned()),
        Some(dir) if dir.starts_with('/') => Ok(clean_path(dir)),
        Some(dir) => Err(Error::invalid(format!(
            "the working directory '{dir}' is invalid, it needs to be an absolute path"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, &[], &["sh", "-e"], &["x"], Some(&["sh", "-e", "x"][..]))]
    #[case(None, &["ls", "-la"], &[], &["sh"], Some(&["ls", "-la"][..]))]
    #[case(None, &["a"], &["entry"], &["sh"], Some(&["entry", "a"][..]))]
    #[case(Some("cat"), &[], &["entry"], &["sh"], Some(&["cat"][..]))]
    #[case(Some("cat"), &["f"], &["entry"], &["sh"], Some(&["cat", "f"][..]))]
    #[case(Some(""), &["f"], &["entry"], &["sh"], Some(&["f"][..]))]
    #[case(Some(""), &[], &["entry"], &["sh"], None)]
    #[case(None, &[], &[], &[], None)]
    fn command_lines(
        #[case] entrypoint: Option<&str>,
        #[case] command: &[&str],
        #[case] image_entrypoint: &[&str],
        #[case] image_command: &[&str],
        #[case] want: Option<&[&str]>,
    ) {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let process = Process {
            entrypoint: entrypoint.map(str::to_owned),
            command: own(command),
            ..Process::default()
        };
        let image = Defaults {
            entrypoint: own(image_entrypoint),
            command: own(image_command),
            ..Defaults::default()
        };
        match want {
            Some(want) => assert_eq!(arguments(&process, &image).unwrap(), want),
            None => assert_eq!(arguments(&process, &image).unwrap_err().to_string(), "no command specified"),
        }
    }

    #[rstest]
    #[case(None, None, "/")]
    #[case(None, Some("/app"), "/app")]
    #[case(None, Some(""), "/")]
    #[case(Some("/a/../b/"), Some("/app"), "/b")]
    fn working_dirs(#[case] user: Option<&str>, #[case] image: Option<&str>, #[case] want: &str) {
        let process = Process { working_dir: user.map(str::to_owned), ..Process::default() };
        let image = Defaults { working_dir: image.map(str::to_owned), ..Defaults::default() };
        assert_eq!(working_dir(&process, &image).unwrap(), want);
    }

    #[test]
    fn relative_working_dir() {
        let process = Process { working_dir: Some("x".to_owned()), ..Process::default() };
        assert_eq!(
            working_dir(&process, &Defaults::default()).unwrap_err().to_string(),
            "the working directory 'x' is invalid, it needs to be an absolute path"
        );
    }
}
