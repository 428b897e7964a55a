//! Reads a batch of a DynamoDB stream: the rows that were recorded, with their sequence numbers.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    delivery::stream_batch::{BatchRecord, SequenceNumber},
    domain::{Key, State},
};

/// Why a batch cannot be read. The stream sends it again; until then the sweep finds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamRecordError {
    /// A record lacks a field.
    #[error(
        "a record of the batch lacks the fields that a table's stream gives it (with new images)"
    )]
    Shape,
    /// A record has no sequence number, so the reply could not name it.
    #[error("a record of the batch has no sequence number to resume from")]
    Sequence,
}

#[derive(Deserialize)]
struct StreamBatch {
    #[serde(rename = "Records")]
    records: Vec<StreamRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamRecord {
    event_name: String,
    dynamodb: StreamChange,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamChange {
    sequence_number: Option<String>,
    keys: HashMap<String, StringAttribute>,
    /// Only its state: the row itself is read when it is claimed.
    new_image: Option<StreamImage>,
}

#[derive(Deserialize)]
struct StreamImage {
    state: Option<StringAttribute>,
}

/// An attribute's value, if it is text; values of other types have other names.
#[derive(Deserialize)]
struct StringAttribute {
    #[serde(rename = "S")]
    text: Option<String>,
}

/// Reads a batch. A change that is not a new recorded row needs no delivery. A record of another
/// shape fails the batch: the stream may be the only fast way for its row.
pub(super) fn read(raw: &RawValue) -> Result<Vec<BatchRecord>, StreamRecordError> {
    let batch: StreamBatch =
        serde_json::from_str(raw.get()).map_err(|_| StreamRecordError::Shape)?;
    batch.records.into_iter().map(record).collect()
}

/// The records of an event that may not be from a stream.
#[cfg(any(test, feature = "test-support"))]
pub fn batch_for_tests(raw: &RawValue) -> Result<Vec<BatchRecord>, StreamRecordError> {
    read(raw)
}

fn record(streamed: StreamRecord) -> Result<BatchRecord, StreamRecordError> {
    let sequence = streamed
        .dynamodb
        .sequence_number
        .as_deref()
        .and_then(SequenceNumber::parse);
    let sequence = sequence.ok_or(StreamRecordError::Sequence)?;
    let key = match streamed.event_name.as_str() {
        "INSERT" => inserted_key(streamed.dynamodb)?,
        "MODIFY" | "REMOVE" => None,
        _ => return Err(StreamRecordError::Shape),
    };
    Ok(BatchRecord { sequence, key })
}

/// The key of a row that is new and recorded. Items other than rows begin with `~` and have no
/// state.
fn inserted_key(change: StreamChange) -> Result<Option<Key>, StreamRecordError> {
    let text = |attribute: Option<&StringAttribute>| {
        attribute.and_then(|attribute| attribute.text.clone())
    };
    let pk = text(change.keys.get("pk")).ok_or(StreamRecordError::Shape)?;
    let image = change.new_image.ok_or(StreamRecordError::Shape)?;
    let Some(key) = Key::parse(&pk) else {
        return Ok(None);
    };
    let state = text(image.state.as_ref()).ok_or(StreamRecordError::Shape)?;
    Ok((state == State::Recorded.as_str()).then_some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: &[&str]) -> Result<Vec<Option<String>>, StreamRecordError> {
        let json = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let records = read(&RawValue::from_string(json).unwrap())?;
        Ok(records
            .into_iter()
            .map(|record| record.key.map(|key| key.to_string()))
            .collect())
    }

    fn insert(pk: &str, image: &str) -> String {
        format!(
            r#"{{"eventName":"INSERT","eventSource":"aws:dynamodb",
                "dynamodb":{{"SequenceNumber":"7","Keys":{{"pk":{pk}}}{image}}}}}"#
        )
    }

    #[test]
    fn only_a_new_recorded_row_is_delivered() {
        let recorded =
            r#","NewImage":{"state":{"S":"recorded"},"v":{"N":"1"},"body":{"B":"aGVsbG8="}}"#;
        for (pk, image, key) in [
            (r#"{"S":"pay:a"}"#, recorded, Some("pay:a")),
            (
                r#"{"S":"pay:a"}"#,
                r#","NewImage":{"state":{"S":"held"}}"#,
                None,
            ),
            (
                r#"{"S":"pay:a"}"#,
                r#","NewImage":{"state":{"S":"anything"}}"#,
                None,
            ),
            (
                r#"{"S":"~source:pay"}"#,
                r#","NewImage":{"heard":{"N":"1"}}"#,
                None,
            ),
            (r#"{"S":"~subject:pay:p"}"#, recorded, None),
            (r#"{"S":"not a key"}"#, recorded, None),
        ] {
            assert_eq!(
                batch(&[&insert(pk, image)]),
                Ok(vec![key.map(str::to_owned)]),
                "{pk} {image}"
            );
        }
        for event in ["MODIFY", "REMOVE"] {
            let record = format!(
                r#"{{"eventName":"{event}",
                    "dynamodb":{{"SequenceNumber":"1","Keys":{{"pk":{{"S":"pay:a"}}}}}}}}"#
            );
            assert_eq!(batch(&[&record]), Ok(vec![None]), "{event}");
        }
    }

    #[test]
    fn a_record_of_another_shape_fails_the_batch() {
        let good = insert(
            r#"{"S":"pay:a"}"#,
            r#","NewImage":{"state":{"S":"recorded"}}"#,
        );
        for other in [
            "{}".to_owned(),
            "7".to_owned(),
            r#"{"eventName":"INSERT"}"#.to_owned(),
            r#"{"eventName":"INSERT","dynamodb":{"SequenceNumber":"1"}}"#.to_owned(),
            good.replace("INSERT", "UPSERT"),
            good.replace("pk", "id"),
            insert(r#"{"N":"7"}"#, r#","NewImage":{"state":{"S":"recorded"}}"#),
            insert(r#"{"S":"pay:a"}"#, ""),
            insert(r#"{"S":"pay:a"}"#, r#","NewImage":{}"#),
            insert(r#"{"S":"pay:a"}"#, r#","NewImage":{"state":{"N":"1"}}"#),
        ] {
            assert_eq!(
                batch(&[&good, &other]),
                Err(StreamRecordError::Shape),
                "{other}"
            );
        }
    }

    #[test]
    fn a_record_without_a_sequence_number_fails_the_batch() {
        let good = insert(
            r#"{"S":"pay:a"}"#,
            r#","NewImage":{"state":{"S":"recorded"}}"#,
        );
        for other in [
            r#""SequenceNumber":"""#,
            r#""SequenceNumber":null"#,
            r#""SequenceNumber":"x""#,
            r#""Other":1"#,
        ] {
            let other = good.replace(r#""SequenceNumber":"7""#, other);
            assert_eq!(
                batch(&[&good, &other]),
                Err(StreamRecordError::Sequence),
                "{other}"
            );
        }
    }
}
