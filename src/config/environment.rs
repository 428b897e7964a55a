//! Environment variables, read in one place.

/// The value of an environment variable; a value that is not UTF-8 counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that reads variables"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
