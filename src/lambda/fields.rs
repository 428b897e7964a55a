//! The objects of an event, in order and with every entry. A standard map would keep only one of
//! two signature headers, and a request with two must be refused.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A JSON string, borrowed from the event unless it contains an escape.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct JsonText<'a>(#[serde(borrow)] Cow<'a, str>);

/// `{"name": …}`, whose values are decoded on request.
#[derive(Debug, Default)]
pub(super) struct RawFields<'a>(Vec<(JsonText<'a>, &'a RawValue)>);

/// `{"name": "value"}`, or null.
#[derive(Debug, Default)]
pub(super) struct StringPairs<'a>(Vec<(JsonText<'a>, JsonText<'a>)>);

/// `{"name": ["value", …]}`, or null.
#[derive(Debug, Default)]
pub(super) struct StringLists<'a>(Vec<(JsonText<'a>, Vec<JsonText<'a>>)>);

impl Deref for JsonText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> RawFields<'a> {
    /// The fields of a JSON object; `None` for other values. Some decoders accept an array in place
    /// of an object.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        let entries: MapEntries<JsonText<'a>, &'a RawValue> =
            serde_json::from_str(raw.get()).ok()?;
        Some(Self(entries.0))
    }

    /// A field; of two with the same name, the last.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut last_first = self.0.iter().rev();
        let found = last_first.find(|(known, _)| &**known == name);
        found.map(|(_, value)| *value)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The text of a field; `None` if it is missing or another value.
    pub(super) fn text(&self, name: &str) -> Option<JsonText<'a>> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The value of a field, or the default if it is missing. Fails if the object has two of them,
    /// because another decoder might take the other.
    pub(super) fn decode<T: Deserialize<'a> + Default>(
        &self,
        name: &'static str,
    ) -> serde_json::Result<T> {
        if self.0.iter().filter(|(known, _)| &**known == name).count() > 1 {
            return Err(serde_json::Error::duplicate_field(name));
        }
        self.get(name)
            .map_or_else(|| Ok(T::default()), |raw| serde_json::from_str(raw.get()))
    }
}

impl StringPairs<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl StringLists<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (&**name, &**value)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for StringPairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            Option::<MapEntries<JsonText<'a>, JsonText<'a>>>::deserialize(deserializer)?
                .map(|entries| entries.0)
                .unwrap_or_default(),
        ))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for StringLists<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            Option::<MapEntries<JsonText<'a>, Vec<JsonText<'a>>>>::deserialize(deserializer)?
                .map(|entries| entries.0)
                .unwrap_or_default(),
        ))
    }
}

struct MapEntries<K, V>(Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for MapEntries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for EntryVisitor<K, V> {
            type Value = MapEntries<K, V>;

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

        deserializer.deserialize_map(EntryVisitor(PhantomData))
    }
}
