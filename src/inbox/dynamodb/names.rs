//! What the table's attributes and items are called, and values made for them.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use crate::{
    domain::{Key, SourceName, State, Timestamp},
    inbox::KvKey,
    senders::EventName,
};

/// One item.
pub(super) type TableItem = HashMap<String, AttributeValue>;

/// The key of every item.
pub(super) const PK: &str = "pk";
/// The sparse index: rows that wait for someone, by shelf and the instant they are due.
pub(super) const INDEX: &str = "shelf";
/// The item that is asked for only to open the connection; there is none.
pub(super) const WARM: &str = "~warm";
/// How the name of a body's item begins.
const BODY: &str = "~body:";
/// How the name of a payment's ledger begins.
const SUBJECT: &str = "~subject:";
/// How the name of what is known of a source begins.
const SOURCE: &str = "~source:";

/// How the name of a memo begins.
const MEMO: &str = "~memo:";

/// The ledger of the payment that `event` belongs to.
pub(super) fn ledger(event: &EventName) -> String {
    ledger_of(&event.source, &event.subject)
}

/// The ledger of one payment.
pub(super) fn ledger_of(source: &str, subject: &str) -> String {
    format!("{SUBJECT}{source}:{subject}")
}

/// What is known of a source.
pub(super) fn source(name: &SourceName) -> String {
    format!("{SOURCE}{name}")
}

/// What stands under a name.
pub(super) fn memo(name: &KvKey) -> String {
    format!("{MEMO}{}", name.as_str())
}

/// One part of a body: by its row and by its bytes as they are stored, so that two programs which
/// compress differently can't mix their parts.
pub(super) fn part(key: &Key, digest: &[u8; 32], number: u32) -> String {
    format!("{BODY}{key}:{}:{number}", hex::encode(digest))
}

/// The shelf that a row in `state` stands on.
pub(super) fn shelf(state: State, key: &Key, shards: u32) -> Option<String> {
    state
        .shelf()
        .map(|shelf| format!("{shelf}:{}", shard(key, shards)))
}

/// Which shard a row belongs to, for as long as the number of shards stays: FNV-1a, which is the same
/// in every version of this program.
fn shard(key: &Key, shards: u32) -> u32 {
    let hash = key.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    // The last characters of a key move its low bits most, so the high ones are folded in.
    (hash ^ (hash >> 16)) % shards.max(1)
}

/// A text.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number.
pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Bytes.
pub(super) fn binary(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// An instant: milliseconds, but for the one that DynamoDB reads itself.
pub(super) fn instant(at: Timestamp) -> AttributeValue {
    number(at.as_millis())
}

/// The instant an item expires at, in the seconds DynamoDB counts in; never earlier than asked for.
pub(super) fn expiry(at: Timestamp) -> AttributeValue {
    number(at.as_millis().div_euclid(1000) + i64::from(at.as_millis().rem_euclid(1000) > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_evenly_over_the_shards_and_stay_where_they_are() {
        let key = |number: u32| Key::parse(&format!("pay:{number}")).unwrap();
        assert_eq!(
            shard(&key(1), 16),
            8,
            "a row that is stored must be found where it was put"
        );
        let mut rows = [0u32; 16];
        for number in 0..16_000 {
            rows[shard(&key(number), 16) as usize] += 1;
        }
        assert!(
            rows.iter().all(|rows| (800..1200).contains(rows)),
            "{rows:?}"
        );
    }

    #[test]
    fn an_expiry_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, "0"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2")] {
            assert_eq!(
                expiry(Timestamp::from_millis(millis)),
                AttributeValue::N(seconds.to_owned())
            );
        }
    }
}
