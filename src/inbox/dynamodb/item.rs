//! A row <-> its item. Digests, signature and lease are kept as bytes: a row of one kilobyte costs
//! half of what one of two does.

use aws_sdk_dynamodb::types::AttributeValue;

use super::names::{PK, TableItem, binary, instant, number, text};
use crate::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{BodyParts, InboxError, Lease, LeaseId, ROW_VERSION, Row, body::StoredBody},
    senders::Entry,
};

/// How a body is kept with its row.
pub(super) enum BodyLocation<'a> {
    /// In the row itself.
    Inline(&'a StoredBody),
    /// In items of its own, which the row names.
    Apart {
        parts: &'a BodyParts,
        deflated: bool,
    },
}

/// A row's item as it is first written.
pub(super) fn of(
    entry: &Entry,
    kept: &BodyLocation<'_>,
    shelf: Option<String>,
    due_at: Timestamp,
) -> TableItem {
    let state = if entry.held.is_some() {
        State::Held
    } else {
        State::Recorded
    };
    let mut item = TableItem::from([
        (PK.to_owned(), text(entry.key.as_str())),
        ("v".to_owned(), number(ROW_VERSION)),
        ("digest".to_owned(), binary(entry.digest)),
        ("content_digest".to_owned(), binary(entry.content_digest)),
        ("event_type".to_owned(), text(&entry.event_type)),
        ("received_at".to_owned(), instant(entry.received_at)),
        ("origin".to_owned(), text(entry.origin.as_str())),
        ("state".to_owned(), text(state.as_str())),
        ("attempts".to_owned(), number(0)),
        ("budget_from".to_owned(), instant(entry.received_at)),
        ("due_at".to_owned(), instant(due_at)),
    ]);
    let mut maybe = |name: &str, value: Option<AttributeValue>| {
        item.extend(value.map(|value| (name.to_owned(), value)));
    };
    maybe("shelf", shelf.map(text));
    maybe(
        "signature",
        entry
            .signature
            .as_deref()
            .and_then(|hex| hex::decode(hex).ok())
            .map(binary),
    );
    maybe("key_label", entry.key_label.as_deref().map(text));
    maybe("subject", entry.subject.as_deref().map(text));
    maybe("event_at", entry.event_at.map(instant));
    maybe("reason", entry.held.map(|reason| text(reason.as_str())));
    let deflated = match kept {
        BodyLocation::Inline(body) => {
            maybe("body", Some(binary(body.bytes.to_vec())));
            body.deflated
        }
        BodyLocation::Apart { parts, deflated } => {
            maybe("parts", Some(number(parts.count)));
            maybe("parts_digest", Some(binary(parts.digest)));
            *deflated
        }
    };
    maybe("deflated", deflated.then_some(AttributeValue::Bool(true)));
    item
}

/// A claim's name as it is kept in a lease.
pub(super) fn lease_id(id: LeaseId) -> AttributeValue {
    binary(id.0.to_be_bytes())
}

/// A lease as it is kept in its row.
pub(super) fn lease(lease: &Lease) -> AttributeValue {
    AttributeValue::M(TableItem::from([
        ("id".to_owned(), lease_id(lease.id)),
        ("until".to_owned(), instant(lease.until)),
    ]))
}

/// What an item says of a row, its bytes apart.
pub(super) struct DecodedItem {
    /// The row, without its bytes.
    pub(super) row: Row,
    /// Its bytes as they are kept, if they are in the row itself.
    pub(super) inline: Option<StoredBody>,
    /// Where they are, if they are in items of their own.
    pub(super) parts: Option<BodyParts>,
    /// Whether they are compressed.
    pub(super) deflated: bool,
}

/// Reads a row's item. One of a later version is an error, and so is one that can't be ours.
pub(super) fn read(item: &TableItem) -> Result<DecodedItem, InboxError> {
    let key = text_of(item, PK).and_then(Key::parse).ok_or_else(|| {
        InboxError::Unavailable("an item of the table has no key of ours".to_owned())
    })?;
    let version = version(item);
    if version > ROW_VERSION {
        return Err(InboxError::NewerRow {
            key,
            found: version,
        });
    }
    let damaged = |what| InboxError::Damaged {
        key: key.clone(),
        what,
    };
    let received_at =
        instant_of(item, "received_at").ok_or_else(|| damaged("it has no received_at"))?;
    let attempts: u32 = number_of(item, "attempts").unwrap_or_default();
    let budget_from = instant_of(item, "budget_from").unwrap_or(received_at);
    let row = Row {
        body: None,
        digest: digest_of(item, "digest").ok_or_else(|| damaged("it has no digest"))?,
        content_digest: digest_of(item, "content_digest")
            .ok_or_else(|| damaged("it has no content_digest"))?,
        signature: bytes_of(item, "signature").map(hex::encode),
        key_label: text_of(item, "key_label").map(str::to_owned),
        event_type: text_of(item, "event_type")
            .ok_or_else(|| damaged("it has no event_type"))?
            .to_owned(),
        subject: text_of(item, "subject").map(str::to_owned),
        event_at: instant_of(item, "event_at"),
        received_at,
        origin: text_of(item, "origin")
            .and_then(Origin::parse)
            .ok_or_else(|| damaged("it has no origin"))?,
        state: text_of(item, "state")
            .and_then(State::parse)
            .ok_or_else(|| damaged("it has no state"))?,
        reason: text_of(item, "reason").map(str::to_owned),
        attempts,
        lease: lease_of(item),
        budget_from,
        last_error: text_of(item, "last_error").map(str::to_owned),
        due_at: instant_of(item, "due_at"),
        expires_at: number_of(item, "expires_at")
            .map(|seconds: i64| Timestamp::from_millis(seconds * 1000)),
        key: key.clone(),
    };
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
            // Nothing has touched them since: no attempt failed for good, and nobody sent the row again.
            are_as_born: attempts <= 1 && budget_from == received_at,
        });
    Ok(DecodedItem {
        row,
        inline,
        parts,
        deflated,
    })
}

/// The version an item says it has; one that says none is nothing this program wrote.
pub(super) fn version(item: &TableItem) -> u32 {
    number_of(item, "v").unwrap_or(u32::MAX)
}

/// An attribute that is text.
pub(super) fn text_of<'a>(item: &'a TableItem, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// An attribute that is a number.
pub(super) fn number_of<T: std::str::FromStr>(item: &TableItem, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// An attribute that is an instant.
pub(super) fn instant_of(item: &TableItem, name: &str) -> Option<Timestamp> {
    number_of(item, name).map(Timestamp::from_millis)
}

/// An attribute that is bytes.
pub(super) fn bytes_of<'a>(item: &'a TableItem, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(|blob| blob.as_ref())
}

/// An attribute that is a SHA-256.
pub(super) fn digest_of(item: &TableItem, name: &str) -> Option<[u8; 32]> {
    bytes_of(item, name)?.try_into().ok()
}

/// Who works on a row.
pub(super) fn lease_of(item: &TableItem) -> Option<Lease> {
    let lease = item.get("lease")?.as_m().ok()?;
    let id = u64::from_be_bytes(bytes_of(lease, "id")?.try_into().ok()?);
    Some(Lease {
        id: LeaseId(id),
        until: instant_of(lease, "until")?,
    })
}
