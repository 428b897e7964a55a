//! Reads items that no inbox has written, for the fuzz targets.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::item;
use crate::inbox::{InboxError, Row, StoredBody};

/// An attribute of any type.
#[derive(Clone, Debug)]
pub enum AnyAttribute {
    /// Text.
    Text(String),
    /// The text of a number.
    Number(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A truth value.
    Bool(bool),
    /// Named attributes.
    Map(HashMap<String, Self>),
}

impl From<AnyAttribute> for AttributeValue {
    fn from(attribute: AnyAttribute) -> Self {
        match attribute {
            AnyAttribute::Text(text) => Self::S(text),
            AnyAttribute::Number(number) => Self::N(number),
            AnyAttribute::Binary(bytes) => Self::B(Blob::new(bytes)),
            AnyAttribute::Bool(value) => Self::Bool(value),
            AnyAttribute::Map(map) => Self::M(converted(map)),
        }
    }
}

fn converted(map: HashMap<String, AnyAttribute>) -> HashMap<String, AttributeValue> {
    let pairs = map.into_iter();
    pairs.map(|(name, value)| (name, value.into())).collect()
}

/// Reads an item as the inbox does: the row without its bytes, and its body if that is in it.
pub fn read_any(
    item: HashMap<String, AnyAttribute>,
) -> Result<(Row, Option<StoredBody>), InboxError> {
    let read = item::read(&converted(item))?;
    Ok((read.row, read.inline))
}
