//! Our own terminal: its size, raw and silent mode that are undone however we end, SIGKILL apart.

use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use sandbox_engine::Size;

/// How the terminal was, while it is changed. Static, because the panic hook must find it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode; dropping it restores the terminal.
#[derive(Debug)]
pub(crate) struct Raw(());

impl Raw {
    /// Makes the terminal on stdin raw, if there is one.
    pub(crate) fn enter() -> std::io::Result<Option<Raw>> {
        let stdin = rustix::stdio::stdin();
        if !rustix::termios::isatty(stdin) {
            return Ok(None);
        }
        let before = tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Raw(())))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// A terminal that shows nothing of what is typed, for passwords; dropping it restores the terminal.
#[derive(Debug)]
pub(crate) struct Silent(());

impl Silent {
    /// Makes the terminal on stdin silent.
    pub(crate) fn enter() -> std::io::Result<Silent> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(stdin, OptionalActions::Now, &silent)?;
        Ok(Silent(()))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        restore();
    }
}

/// Brings back the terminal as it was, if it is changed.
pub(crate) fn restore() {
    // try_lock: a panic while the lock is held must not hang.
    let before = match BEFORE.try_lock() {
        Ok(mut guard) => guard.take(),
        Err(_) => None,
    };
    if let Some(before) = before {
        // The terminal may be gone, and then there is nothing to restore.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
    }
}

/// Release builds abort on a panic without running destructors, so the hook restores.
pub(crate) fn restore_on_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        default(info);
    }));
}

/// Size of the terminal on stdout, else on stdin.
pub(crate) fn size() -> Option<Size> {
    let of = |fd| tcgetwinsize(fd).ok();
    let size = of(rustix::stdio::stdout()).or_else(|| of(rustix::stdio::stdin()))?;
    Some(Size { rows: size.ws_row, cols: size.ws_col })
}

/// Whether stdin is a terminal.
pub(crate) fn is_stdin_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}
