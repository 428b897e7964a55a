//! How long a source has sent nothing.
//!
//! A source that has never sent a notification has no time of a last one. So the time of the first
//! query for it is stored, and its silence is counted from then.

use super::{CasOutcome, InboxError, KvEntry, KvKey, ReconcileInbox};
use crate::domain::{SourceName, Timestamp};

/// When a notification of `source` was last received. If none was, the time of the first call of
/// this function.
///
/// For implementations of [`DeliveryInbox::silent_since`](super::DeliveryInbox::silent_since).
///
/// # Errors
/// If the inbox cannot be read, or the time of the first call cannot be stored.
pub async fn silent_since(
    inbox: &impl ReconcileInbox,
    source: &SourceName,
    now: Timestamp,
) -> Result<Timestamp, InboxError> {
    if let Some(at) = inbox.last_received(source).await? {
        return Ok(at);
    }
    let key = KvKey::new("watched", source.as_str());
    let next = KvEntry {
        version: now.as_millis().unsigned_abs(),
        text: now.as_millis().to_string(),
    };
    let since = |entry: &KvEntry| entry.text.parse().map(Timestamp::from_millis).ok();
    let stored = inbox.kv_get(&key).await?;
    if let Some(at) = stored.as_ref().and_then(since) {
        return Ok(at);
    }
    let expected = stored.map(|entry| entry.version);
    match inbox.compare_and_swap(&key, expected, &next).await? {
        CasOutcome::Conflict(Some(other)) => Ok(since(&other).unwrap_or(now)),
        CasOutcome::Conflict(None) | CasOutcome::Stored => Ok(now),
    }
}
