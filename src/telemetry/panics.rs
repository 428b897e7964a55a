//! Logs panics.

use std::panic::set_hook;

/// Sets a panic hook that logs only the location of a panic, because its text may quote a
/// notification. Unlike the default hook, it does not wait for standard error.
pub fn log_panics() {
    set_hook(Box::new(|panic| {
        let at = panic
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()))
            .unwrap_or_default();
        tracing::error!(at = at.as_str(), "a bug: the program panicked");
    }));
}
