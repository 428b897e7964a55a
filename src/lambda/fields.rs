//! The objects of an event, in order and with every entry. A standard map would keep only one of
//! two signature headers, and a request with two must be refused.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// `{"name": …}`, whose values are decoded on access.
#[derive(Debug, Default)]
pub(super) struct RawFields<'a>(Vec<(String, &'a RawValue)>);

/// `{"name": "value"}`, or null.
#[derive(Debug, Default)]
pub(super) struct StringPairs(Vec<(String, String)>);

/// `{"name": ["value", …]}`, or null.
#[derive(Debug, Default)]
pub(super) struct StringLists(Vec<(String, Vec<String>)>);

impl<'a> RawFields<'a> {
    /// The fields of a JSON object; `None` for other values. Some decoders accept an array in place
    /// of an object.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        let entries: MapEntries<&'a RawValue> = serde_json::from_str(raw.get()).ok()?;
        Some(Self(entries.0))
    }

    /// A field; of two with the same name, the last.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut last_first = self.0.iter().rev();
        let found = last_first.find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The text of a field; `None` if it is missing or another value.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The value of a field, or the default if it is missing. Fails if the object has two of them,
    /// because another decoder might take the other.
    pub(super) fn decode<T: Deserialize<'a> + Default>(
        &self,
        name: &'static str,
    ) -> serde_json::Result<T> {
        if self.0.iter().filter(|(known, _)| known == name).count() > 1 {
            return Err(serde_json::Error::duplicate_field(name));
        }
        self.get(name)
            .map_or_else(|| Ok(T::default()), |raw| serde_json::from_str(raw.get()))
    }
}

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
