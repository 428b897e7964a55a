//! Panics, in the log.

use std::panic::set_hook;

/// Sets a panic hook that logs the place of a panic and nothing else: its text may quote a
/// notification. Nor does it wait for standard error, which the default hook does.
pub fn log_panics() {
    set_hook(Box::new(|panic| {
        let at = panic
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()))
            .unwrap_or_default();
        tracing::error!(at = at.as_str(), "a bug: the program panicked");
    }));
}
