//! Since when a source is silent.
//!
//! A source that was never received since its stack began has no time of a last notification. So
//! the first question about it is remembered, and its silence is counted from then on.

use super::{CasOutcome, InboxError, KvEntry, KvKey, ReconcileInbox};
use crate::domain::{SourceName, Timestamp};

/// When a notification of `source` was last received; if none ever was, when this was first asked.
///
/// For implementations of [`DeliveryInbox::silent_since`](super::DeliveryInbox::silent_since).
///
/// # Errors
/// If the inbox cannot be read, or cannot remember the question.
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
