//! The maps of an HTTP event, in order and with every entry. A standard map would keep only one of
//! two signature headers, and a request with two must be refused.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// `{"name": "value"}`, or null.
#[derive(Debug, Default)]
pub(super) struct StringPairs(Vec<(String, String)>);

/// `{"name": ["value", …]}`, or null.
#[derive(Debug, Default)]
pub(super) struct StringLists(Vec<(String, Vec<String>)>);

impl StringPairs {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl StringLists {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), value.as_str())))
    }
}

impl<'de> Deserialize<'de> for StringPairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            Option::<MapEntries<String>>::deserialize(deserializer)?
                .map(|entries| entries.0)
                .unwrap_or_default(),
        ))
    }
}

impl<'de> Deserialize<'de> for StringLists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            Option::<MapEntries<Vec<String>>>::deserialize(deserializer)?
                .map(|entries| entries.0)
                .unwrap_or_default(),
        ))
    }
}

struct MapEntries<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for MapEntries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntryVisitor<T> {
            type Value = MapEntries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(MapEntries(entries))
            }
        }

        deserializer.deserialize_map(EntryVisitor(std::marker::PhantomData))
    }
}
