//! The keys of the table's items, and the values of attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use crate::{
    domain::{Key, SourceName, State, Timestamp},
    inbox::{AuditEntry, BodyParts, KvKey},
    senders::EventName,
};

/// An item of the table.
pub(super) type TableItem = HashMap<String, AttributeValue>;

/// The key attribute of every item.
pub(super) const PK: &str = "pk";
/// The sparse index of open, dead and held rows, by partition and `due_at`.
pub(super) const INDEX: &str = "shelf";
/// The key of a read that only opens the connection. No item has it.
pub(super) const WARM: &str = "~warm";
/// The prefix of the parts of bodies.
const BODY: &str = "~body:";
/// The prefix of intents.
const INTENT: &str = "~parts:";
/// The partition of intents in the index.
const INTENT_PARTITION: &str = "parts";
/// The prefix of ledgers.
const SUBJECT: &str = "~subject:";
/// The prefix of sources.
const SOURCE: &str = "~source:";
/// The prefix of the audit trail.
const AUDIT: &str = "~audit:";
/// The partition of the audit trail in the index. One shard is enough, because people write few
/// entries.
pub(super) const AUDIT_PARTITION: &str = "audit:0";
/// The prefix of the key-value store.
const KV: &str = "~memo:";

/// A condition that holds for no item.
pub(super) const NEVER: &str = "attribute_exists(pk) AND attribute_not_exists(pk)";

/// The ledger of the event's payment.
pub(super) fn ledger(event: &EventName) -> String {
    ledger_of(&event.source, &event.subject)
}

/// The ledger of one payment.
pub(super) fn ledger_of(source: &str, subject: &str) -> String {
    format!("{SUBJECT}{source}:{subject}")
}

/// The item of a source.
pub(super) fn source(name: &SourceName) -> String {
    format!("{SOURCE}{name}")
}

/// The item of a key of the key-value store.
pub(super) fn kv(key: &KvKey) -> String {
    format!("{KV}{}", key.as_str())
}

/// The item of an audit entry.
pub(super) fn audit(entry: &AuditEntry) -> String {
    format!("{AUDIT}{}:{:016x}", entry.at.as_millis(), entry.id)
}

/// One part of a body. Its key includes the digest of the stored bytes, so that the parts of two
/// versions of this program that compress differently are not mixed.
pub(super) fn part(key: &Key, digest: &[u8; 32], number: u32) -> String {
    format!("{BODY}{key}:{}:{number}", hex::encode(digest))
}

/// The intent of the parts of a body.
pub(super) fn intent(key: &Key, parts: &BodyParts) -> String {
    let digest = hex::encode(parts.digest);
    format!("{INTENT}{key}:{digest}:{}", parts.count)
}

/// The row's key, the digest and the number of parts in the key of an intent.
pub(super) fn parse_intent(pk: &str) -> Option<(Key, [u8; 32], u32)> {
    let mut fields = pk.strip_prefix(INTENT)?.rsplitn(3, ':');
    let count = fields.next()?.parse().ok()?;
    let digest = hex::decode(fields.next()?).ok()?.try_into().ok()?;
    Some((Key::parse(fields.next()?)?, digest, count))
}

/// The index partition, with its shard, of the intents of `key`.
pub(super) fn intent_partition(key: &Key, shards: u32) -> String {
    format!("{INTENT_PARTITION}:{}", shard(key, shards))
}

/// All index partitions of intents.
pub(super) fn intent_partitions(shards: u32) -> impl Iterator<Item = String> {
    (0..shards.max(1)).map(|shard| format!("{INTENT_PARTITION}:{shard}"))
}

/// The index partition, with its shard, of a row in `state`.
pub(super) fn index_partition(state: State, key: &Key, shards: u32) -> Option<String> {
    state
        .index_partition()
        .map(|partition| format!("{partition}:{}", shard(key, shards)))
}

/// An index partition with its shard.
pub(super) fn index_partition_of(partition: &str, shard: u32) -> String {
    format!("{partition}:{shard}")
}

/// The shard of a row: FNV-1a of its key. It must never change for a given number of shards, or
/// stored rows would not be found.
fn shard(key: &Key, shards: u32) -> u32 {
    let hash = key.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    // The last characters of a key mostly change the low bits, so the high bits are mixed in.
    (hash ^ (hash >> 16)) % shards.max(1)
}

/// Text.
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

/// A time in milliseconds.
pub(super) fn instant(at: Timestamp) -> AttributeValue {
    number(at.as_millis())
}

/// An expiry, which DynamoDB reads in seconds; rounded up.
pub(super) fn expiry(at: Timestamp) -> AttributeValue {
    number(at.as_millis().div_euclid(1000) + i64::from(at.as_millis().rem_euclid(1000) > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_evenly_over_the_shards_and_keep_their_shard() {
        let key = |number: u32| Key::parse(&format!("pay:{number}")).unwrap();
        assert_eq!(shard(&key(1), 16), 8, "the shard of a stored row changed");
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
