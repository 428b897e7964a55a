//! Faults planted in copies of the sources.

use crate::arguments::Arguments;

/// `proof planted`.
pub(crate) fn command(_: &Arguments) -> Result<bool, String> {
    Err("not yet".to_owned())
}
