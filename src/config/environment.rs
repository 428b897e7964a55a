//! Environment variables, read in one place.

/// One environment variable; one that is no UTF-8 counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads variables"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
