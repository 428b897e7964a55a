//! Stub.
pub(crate) fn command(_: &crate::arguments::Arguments) -> Result<bool, String> { Ok(true) }
