//! Converts rows to items and back. Digests, signatures and lease ids are stored as bytes, because
//! DynamoDB charges writes by the kilobyte.

use aws_sdk_dynamodb::types::AttributeValue;

use super::names::{PK, TableItem, binary, expiry, index_partition, instant, number, text};
use crate::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{
        BodyParts, DeliveryHistory, InboxError, Lease, LeaseId, ROW_VERSION, Row, body::StoredBody,
    },
    senders::{SecretFingerprint, SenderKind},
};

/// Where a body is stored.
pub(super) enum BodyLocation<'a> {
    /// In the row itself.
    Inline(&'a StoredBody),
    /// In separate items, which the row names.
    Parts {
        parts: &'a BodyParts,
        deflated: bool,
    },
}

/// The item of a row, without its lease.
pub(super) fn of_row(row: &Row, body: Option<&BodyLocation<'_>>, shards: u32) -> TableItem {
    let mut item = TableItem::from([
        (PK.to_owned(), text(row.key.as_str())),
        ("v".to_owned(), number(ROW_VERSION)),
        ("digest".to_owned(), binary(row.digest)),
        ("content_digest".to_owned(), binary(row.content_digest)),
        ("kind".to_owned(), text(row.kind.as_str())),
        ("event_type".to_owned(), text(&row.event_type)),
        ("received_at".to_owned(), instant(row.received_at)),
        ("origin".to_owned(), text(row.origin.as_str())),
        ("state".to_owned(), text(row.state.as_str())),
        ("attempts".to_owned(), number(row.attempts)),
        ("budget_from".to_owned(), instant(row.budget_from)),
    ]);
    let mut set_some = |name: &str, value: Option<AttributeValue>| {
        item.extend(value.map(|value| (name.to_owned(), value)));
    };
    let partition = index_partition(row.state, &row.key, shards);
    set_some("shelf", partition.map(text));
    set_some("signature", row.signature.as_deref().map(signature));
    set_some("key_label", row.key_label.as_deref().map(text));
    let fingerprint = row.secret_fingerprint.map(|print| binary(print.as_bytes()));
    set_some("secret_fingerprint", fingerprint);
    set_some("subject", row.subject.as_deref().map(text));
    set_some("event_at", row.event_at.map(instant));
    set_some("reason", row.reason.as_deref().map(text));
    set_some("last_error", row.last_error.as_deref().map(text));
    set_some("history", history(&row.history));
    set_some("due_at", row.due_at.map(instant));
    set_some("expires_at", row.expires_at.map(expiry));
    let deflated = match body {
        None => false,
        Some(BodyLocation::Inline(body)) => {
            set_some("body", Some(binary(body.bytes.to_vec())));
            body.deflated
        }
        Some(BodyLocation::Parts { parts, deflated }) => {
            set_some("parts", Some(number(parts.count)));
            set_some("parts_digest", Some(binary(parts.digest)));
            *deflated
        }
    };
    set_some("deflated", deflated.then_some(AttributeValue::Bool(true)));
    item
}

/// The value of a signature header: as bytes if it is hex, which takes half the space.
fn signature(header: &str) -> AttributeValue {
    hex::decode(header).map_or_else(|_| text(header), binary)
}

/// The stored form of a claim's id.
pub(super) fn lease_id(id: LeaseId) -> AttributeValue {
    binary(id.0.to_be_bytes())
}

/// The stored form of a history; `None` if it is empty.
pub(super) fn history(history: &DeliveryHistory) -> Option<AttributeValue> {
    history.stored().map(binary)
}

/// The stored form of a lease.
pub(super) fn lease(lease: &Lease) -> AttributeValue {
    AttributeValue::M(TableItem::from([
        ("id".to_owned(), lease_id(lease.id)),
        ("until".to_owned(), instant(lease.until)),
    ]))
}

/// A row read from an item, with its body still packed.
pub(super) struct DecodedItem {
    /// The row without its bytes.
    pub(super) row: Row,
    /// The body, if it is in the row's own item.
    pub(super) inline: Option<StoredBody>,
    /// The parts of the body, if it is in separate items.
    pub(super) parts: Option<BodyParts>,
    /// Whether the body is compressed.
    pub(super) deflated: bool,
}

/// Reads the item of a row.
///
/// # Errors
/// If the row has a later version, or this program cannot have written the item.
pub(super) fn read(item: &TableItem) -> Result<DecodedItem, InboxError> {
    let key = text_of(item, PK).and_then(Key::parse).ok_or_else(|| {
        InboxError::Unavailable(
            "an item of the table has a key that Pillarbox did not write".to_owned(),
        )
    })?;
    let version = version(item);
    if version > ROW_VERSION {
        return Err(InboxError::NewerRow {
            key,
            found: version,
        });
    }
    let row = read_row(item, &key)?;
    let deflated = matches!(item.get("deflated"), Some(AttributeValue::Bool(true)));
    let inline = bytes_of(item, "body").map(|bytes| StoredBody {
        deflated,
        bytes: bytes.to_vec().into(),
    });
    let parts = number_of(item, "parts")
        .zip(digest_of(item, "parts_digest"))
        .map(|(count, digest)| BodyParts {
            digest,
            count,
            received_at: row.received_at,
        });
    Ok(DecodedItem {
        row,
        inline,
        parts,
        deflated,
    })
}

/// Reads the row of an item, without its body.
fn read_row(item: &TableItem, key: &Key) -> Result<Row, InboxError> {
    let owned_text = |name| text_of(item, name).map(str::to_owned);
    let digest = |name| digest_of(item, name);
    let kind = text_of(item, "kind").and_then(SenderKind::parse);
    let origin = text_of(item, "origin").and_then(Origin::parse);
    let state = text_of(item, "state").and_then(State::parse);
    let received_at = instant_of(item, "received_at");
    let received_at = require(key, received_at, "it has no received_at")?;
    let fingerprint = bytes_of(item, "secret_fingerprint");
    let expires_at = number_of(item, "expires_at");
    Ok(Row {
        key: key.clone(),
        body: None,
        digest: require(key, digest("digest"), "it has no digest")?,
        content_digest: require(key, digest("content_digest"), "it has no content_digest")?,
        signature: bytes_of(item, "signature")
            .map(hex::encode)
            .or_else(|| owned_text("signature")),
        key_label: owned_text("key_label"),
        secret_fingerprint: fingerprint.and_then(SecretFingerprint::from_bytes),
        kind: require(key, kind, "it has no kind that this program knows")?,
        event_type: require(key, owned_text("event_type"), "it has no event_type")?,
        subject: owned_text("subject"),
        event_at: instant_of(item, "event_at"),
        received_at,
        origin: require(key, origin, "it has no origin")?,
        state: require(key, state, "it has no state")?,
        reason: owned_text("reason"),
        index_partition: owned_text("shelf"),
        attempts: number_of(item, "attempts").unwrap_or_default(),
        lease: lease_of(item),
        budget_from: instant_of(item, "budget_from").unwrap_or(received_at),
        last_error: owned_text("last_error"),
        due_at: instant_of(item, "due_at"),
        expires_at: expires_at
            .map(|seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000))),
        history: bytes_of(item, "history")
            .map(DeliveryHistory::decode)
            .unwrap_or_default(),
    })
}

/// A value without which the row cannot be used.
fn require<T>(key: &Key, value: Option<T>, what: &'static str) -> Result<T, InboxError> {
    value.ok_or_else(|| InboxError::Damaged {
        key: key.clone(),
        what,
    })
}

/// The row version of an item. An item without one counts as newer than every version.
pub(super) fn version(item: &TableItem) -> u32 {
    number_of(item, "v").unwrap_or(u32::MAX)
}

/// A text attribute.
pub(super) fn text_of<'a>(item: &'a TableItem, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A numeric attribute.
pub(super) fn number_of<T: std::str::FromStr>(item: &TableItem, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A time attribute.
pub(super) fn instant_of(item: &TableItem, name: &str) -> Option<Timestamp> {
    number_of(item, name).map(Timestamp::from_millis)
}

/// A binary attribute.
pub(super) fn bytes_of<'a>(item: &'a TableItem, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(|blob| blob.as_ref())
}

/// A SHA-256 attribute.
pub(super) fn digest_of(item: &TableItem, name: &str) -> Option<[u8; 32]> {
    bytes_of(item, name)?.try_into().ok()
}

/// The lease of a row.
pub(super) fn lease_of(item: &TableItem) -> Option<Lease> {
    let lease = item.get("lease")?.as_m().ok()?;
    let id = u64::from_be_bytes(bytes_of(lease, "id")?.try_into().ok()?);
    Some(Lease {
        id: LeaseId(id),
        until: instant_of(lease, "until")?,
    })
}
