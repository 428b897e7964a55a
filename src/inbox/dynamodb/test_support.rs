//! Reads items with arbitrary attributes, for the fuzz targets.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::item;
use crate::inbox::{InboxError, Row, StoredBody};

/// An attribute of any type.
#[derive(Clone, Debug)]
pub enum AnyAttribute {
    /// `S`.
    Text(String),
    /// `N`, as text.
    Number(String),
    /// `B`.
    Binary(Vec<u8>),
    /// `BOOL`.
    Bool(bool),
    /// `M`.
    Map(HashMap<String, Self>),
}

impl From<AnyAttribute> for AttributeValue {
    fn from(attribute: AnyAttribute) -> Self {
        match attribute {
            AnyAttribute::Text(text) => Self::S(text),
            AnyAttribute::Number(number) => Self::N(number),
            AnyAttribute::Binary(bytes) => Self::B(Blob::new(bytes)),
            AnyAttribute::Bool(value) => Self::Bool(value),
            AnyAttribute::Map(map) => Self::M(convert(map)),
        }
    }
}

fn convert(map: HashMap<String, AnyAttribute>) -> HashMap<String, AttributeValue> {
    let pairs = map.into_iter();
    pairs.map(|(name, value)| (name, value.into())).collect()
}

/// Reads an item as the inbox does: the row without its bytes, and its body if it is inline.
pub fn read_any(
    item: HashMap<String, AnyAttribute>,
) -> Result<(Row, Option<StoredBody>), InboxError> {
    let read = item::read(&convert(item))?;
    Ok((read.row, read.inline))
}
