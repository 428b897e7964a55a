//! References to secrets, read where they stand.

use super::{document_reader::TomlItem, error::Located};
use crate::secrets::{SecretError, SecretRef};

/// Reads a reference. What is none is not repeated, since it may be the secret.
pub(super) fn read(item: TomlItem<'_, '_>) -> Option<Located<SecretRef>> {
    let text = item.text(&SecretError::NoReference.to_string())?;
    item.made(SecretRef::parse(&text))
}
