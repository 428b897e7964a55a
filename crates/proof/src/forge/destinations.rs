//! Hostile URLs.
pub(super) fn check() -> bool {
    true
}
