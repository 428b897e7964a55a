//! Reads a reference to a secret from a document.

use super::{document_reader::TomlItem, error::LocatedValue};
use crate::secrets::{SecretError, SecretRef};

/// Reads a reference. The error does not repeat an invalid one, because it may be the secret
/// itself.
pub(super) fn read(item: TomlItem<'_, '_>) -> Option<LocatedValue<SecretRef>> {
    let text = item.text(&SecretError::NoReference.to_string())?;
    item.located(SecretRef::parse(&text))
}
