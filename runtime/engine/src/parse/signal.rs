//! Signal names and numbers.

/// Largest signal number, SIGRTMAX.
const MAX: i32 = 64;

const NAMES: [(&str, i32); 35] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("UNUSED", libc::SIGSYS),
];

/// `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `RTMAX-1`, in either case.
pub fn parse(text: &str) -> Result<i32, String> {
    let wrong = || format!("invalid signal: {text}");
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=MAX).contains(&number) { Ok(number) } else { Err(wrong()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    // The kernel's SIGRTMIN is 32, but the C library keeps two for itself; Docker counts from 34.
    let offset = |base: i32, sign: i32, rest: &str, mark: char| -> Option<i32> {
        let steps: i32 = if rest.is_empty() { 0 } else { rest.strip_prefix(mark)?.parse().ok()? };
        let number = base + sign * steps;
        ((0..=30).contains(&steps) && (34..=MAX).contains(&number)).then_some(number)
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(34, 1, rest, '+').ok_or_else(wrong);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(MAX, -1, rest, '-').ok_or_else(wrong);
    }
    Err(wrong())
}

/// `SIGTERM`; a number without a name is its own.
pub fn name(number: i32) -> String {
    let name = NAMES.iter().find(|(_, known)| *known == number);
    name.map_or_else(|| number.to_string(), |(name, _)| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("TERM", 15)]
    #[case("SIGTERM", 15)]
    #[case("sigterm", 15)]
    #[case("9", 9)]
    #[case("RTMIN", 34)]
    #[case("SIGRTMIN+3", 37)]
    #[case("RTMAX", 64)]
    #[case("RTMAX-14", 50)]
    fn good(#[case] text: &str, #[case] want: i32) {
        assert_eq!(parse(text), Ok(want));
    }

    #[rstest]
    #[case("")]
    #[case("0")]
    #[case("65")]
    #[case("-1")]
    #[case("SIGFOO")]
    #[case("RTMIN+99")]
    #[case("RTMIN-1")]
    #[case("RTMAX+1")]
    fn bad(#[case] text: &str) {
        assert_eq!(parse(text), Err(format!("invalid signal: {text}")));
    }
}
