//! Turns the parser's errors into Docker's texts and exit codes.

use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::failure::ENGINE;

/// What is printed instead of running a command: help, a version, or an error in the flags.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Usage {
    pub(crate) fn print(&self) -> ExitCode {
        if self.code == 0 {
            // A reader that has seen enough is no error.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("{}\n", self.text).as_bytes());
        } else {
            eprintln!("{}", self.text);
        }
        ExitCode::from(self.code)
    }

    /// `error` of the command line that `arguments` names the command of.
    pub(crate) fn from_clap(error: &Error, root: &Command, arguments: &[String]) -> Usage {
        let (command, path) = command_of(root, arguments);
        let context = Context(error);
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Usage { text: options_as_go_shows_them(error.render().to_string().trim_end()), code: 0 }
            }
            ErrorKind::DisplayVersion => Usage { text: error.to_string().trim_end().to_owned(), code: 0 },
            ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => Usage {
                text: format!(
                    "sandbox: unknown command: {path} {}\n\nRun '{path} --help' for more information",
                    context.text(ContextKind::InvalidSubcommand)
                ),
                code: 1,
            },
            ErrorKind::MissingRequiredArgument => with_usage(&wrong_count(command, &path), command, &path, 1),
            ErrorKind::UnknownArgument => {
                let argument = context.text(ContextKind::InvalidArg);
                if argument.starts_with('-') && argument != "-" {
                    with_usage(&unknown_flag(&argument), command, &path, ENGINE)
                } else {
                    with_usage(&wrong_count(command, &path), command, &path, 1)
                }
            }
            _ => with_usage(&invalid_value(&context, command, error), command, &path, ENGINE),
        }
    }
}

/// Go's pflag sorts flags by their long names; `--help`, which it hides, stays last. It shows `-q, --quiet` and `--name string` where the parser has `-q, --quiet[=<QUIET>]` and `--name <string>`.
fn options_as_go_shows_them(help: &str) -> String {
    let is_option = |line: &str| line.starts_with("  -") || line.starts_with("      --");
    let parts = |line: &str| -> Option<(String, String)> {
        let begin = line.find('-').filter(|_| is_option(line))?;
        let end = line.get(begin..)?.find("  ").map_or(line.len(), |end| begin + end);
        let (left, right) = line.split_at_checked(end)?;
        let left = left.split("[=<").next().unwrap_or(left).replace(['<', '>'], "");
        Some((left.trim_end().trim_end_matches("...").to_owned(), right.trim_start().to_owned()))
    };
    let width = help.lines().filter_map(parts).map(|(left, _)| left.chars().count()).max().unwrap_or(0) + 3;
    let old = help.lines().find(|line| is_option(line)).and_then(|line| {
        let (_, right) = parts(line)?;
        line.find(&right).filter(|_| !right.is_empty())
    });
    let mut lines: Vec<String> = Vec::new();
    for line in help.lines() {
        lines.push(match parts(line) {
            Some((left, right)) => format!("{left:<width$}{right}").trim_end().to_owned(),
            // What a wrapped description goes on with.
            None if old.is_some_and(|old| line.len() > old && line.find(|c| c != ' ') == Some(old)) => {
                format!("{:width$}{}", "", line.trim_start())
            }
            None => line.to_owned(),
        });
    }
    let mut entries: Vec<(Option<String>, String)> = Vec::new();
    for (line, shown) in help.lines().zip(lines) {
        match entries.last_mut() {
            // A description that goes on belongs to its option.
            Some((Some(_), entry))
                if !is_option(line) && !line.trim().is_empty() && line.starts_with(' ') =>
            {
                entry.push('\n');
                entry.push_str(&shown);
            }
            _ => entries.push((is_option(line).then(|| long_name(&shown)), shown)),
        }
    }
    for options in entries.chunk_by_mut(|(one, _), (other, _)| one.is_some() && other.is_some()) {
        options.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    entries.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// What an option is sorted by.
fn long_name(line: &str) -> String {
    let name = line.split_whitespace().find_map(|word| word.strip_prefix("--")).unwrap_or_default();
    if name == "help" { char::MAX.to_string() } else { name.to_owned() }
}

struct Context<'a>(&'a Error);

impl Context<'_> {
    fn text(&self, kind: ContextKind) -> String {
        match self.0.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// The command that the line names, and how it is written.
fn command_of<'a>(root: &'a Command, arguments: &[String]) -> (&'a Command, String) {
    let (mut command, mut path) = (root, root.get_name().to_owned());
    for argument in arguments.iter().skip(1) {
        if let Some(sub) = command.find_subcommand(argument) {
            command = sub;
            path = format!("{path} {}", sub.get_name());
        } else if !argument.starts_with('-') && command.get_subcommands().next().is_none() {
            break;
        }
    }
    (command, path)
}

fn with_usage(message: &str, command: &Command, path: &str, code: u8) -> Usage {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).trim();
    Usage { text: format!("{message}\n\nUsage:  {usage}\n\nRun '{path} --help' for more information"), code }
}

/// How many arguments there must be, in Docker's words.
fn wrong_count(command: &Command, path: &str) -> String {
    let positionals: Vec<_> = command.get_positionals().collect();
    let least = positionals.iter().filter(|arg| arg.is_required_set()).count();
    let open = positionals.iter().any(|arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1));
    let most = (!open).then_some(positionals.len());
    let arguments = |count: usize| format!("{count} argument{}", if count == 1 { "" } else { "s" });
    let wanted = match (least, most) {
        (_, Some(0)) => "accepts no arguments".to_owned(),
        (least, Some(most)) if least == most => format!("requires {}", arguments(least)),
        (0, Some(most)) => format!("requires at most {}", arguments(most)),
        (least, Some(most)) => format!("requires at least {least} and at most {}", arguments(most)),
        (least, None) => format!("requires at least {}", arguments(least)),
    };
    format!("sandbox: '{path}' {wanted}")
}

fn unknown_flag(argument: &str) -> String {
    if argument.starts_with("--") {
        return format!("unknown flag: {argument}");
    }
    let short = argument.chars().nth(1).unwrap_or('-');
    format!("unknown shorthand flag: '{short}' in {argument}")
}

/// `invalid argument "x" for "-m, --memory" flag: why`, or that the value is missing.
fn invalid_value(context: &Context<'_>, command: &Command, error: &Error) -> String {
    let shown = context.text(ContextKind::InvalidArg);
    let name = shown.split([' ', '=', '[']).next().unwrap_or_default();
    let found = command.get_arguments().find(|arg| {
        arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long))
            || arg.get_short().is_some_and(|short| name == format!("-{short}"))
    });
    let (short, long) = found.map_or((None, None), |arg| (arg.get_short(), arg.get_long()));
    let value = context.text(ContextKind::InvalidValue);
    let why = std::error::Error::source(error).map(ToString::to_string);
    match (value.is_empty() && why.is_none(), short, long) {
        (true, _, Some(long)) => format!("flag needs an argument: --{long}"),
        (true, Some(short), None) => format!("flag needs an argument: '{short}' in -{short}"),
        (true, None, None) => error.to_string().lines().next().unwrap_or_default().to_owned(),
        (false, short, long) => {
            let flag = match (short, long) {
                (Some(short), Some(long)) => format!("-{short}, --{long}"),
                (None, Some(long)) => format!("--{long}"),
                (Some(short), None) => format!("-{short}"),
                (None, None) => name.to_owned(),
            };
            format!(
                "invalid argument {value:?} for {flag:?} flag: {}",
                why.unwrap_or_else(|| "invalid value".to_owned())
            )
        }
    }
}
