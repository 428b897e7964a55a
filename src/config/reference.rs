//! References to secrets, read where they stand.

use super::{problem::Placed, walk::Item};
use crate::secret::{SecretProblem, SecretRef};

/// Reads a reference. What is none is not repeated, since it may be the secret.
pub(super) fn read(item: Item<'_, '_>) -> Option<Placed<SecretRef>> {
    let text = item.text(&SecretProblem::NoReference.to_string())?;
    item.made(SecretRef::parse(&text))
}
