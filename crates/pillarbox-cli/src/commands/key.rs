//! Finds the notification that an argument names: by its key, its sender's id, or a prefix of
//! either.

use super::{CommandError, error::ErrorCode, settings::CommandSettings};
use crate::any_inbox::AnyInbox;
use pillarbox::{
    domain::{Key, NotificationId},
    inbox::{InboxError, ReadInbox},
    telemetry::visible,
};

/// A shorter text is not a prefix, since it would match too many.
const MIN_PREFIX_CHARS: usize = 4;
/// The number of keys that the error for an ambiguous prefix lists.
const NAMED_KEYS: usize = 5;

/// The key of the notification that `text` names; `None` if there is none.
///
/// # Errors
/// If `text` cannot be a key or an identifier, or is ambiguous.
pub(super) async fn find_key(
    text: &str,
    inbox: &AnyInbox,
    settings: &CommandSettings,
) -> Result<Option<Key>, CommandError> {
    let candidates = candidates(text, settings);
    if candidates.is_empty() {
        return Err(ErrorCode::Key.error(format!(
            "`{}` is not a key: a key is SOURCE:ID, as `pillarbox list` prints it",
            visible(text)
        )));
    }
    let mut found = Vec::new();
    for key in &candidates {
        found.extend(exists(inbox, key).await?.then(|| key.clone()));
    }
    if found.is_empty() {
        for key in candidates.iter().filter(|key| is_long_enough(key)) {
            found.extend(inbox.keys_with_prefix(key.as_str(), NAMED_KEYS + 1).await?);
        }
    }
    match &found[..] {
        [] => Ok(None),
        [key] => Ok(Some(key.clone())),
        several => Err(ErrorCode::Key.error(ambiguous(text, several))),
    }
}

/// The error for a key or an identifier without a notification.
pub(super) fn unknown_key(text: &str) -> CommandError {
    let kind = if Key::parse(text).is_some() {
        "key"
    } else {
        "identifier"
    };
    ErrorCode::UnknownKey.error(format!(
        "no notification has the {kind} {}: `pillarbox list` shows all keys",
        visible(text)
    ))
}

/// The keys that `text` may stand for: itself, or its id of each configured source.
fn candidates(text: &str, settings: &CommandSettings) -> Vec<Key> {
    let sources = settings.config.sources.iter();
    let key = Key::parse(text);
    let names_a_source = |key: &Key| {
        let mut sources = sources.clone();
        sources.any(|source| source.name.as_str() == key.source())
    };
    if key.as_ref().is_some_and(names_a_source) {
        return key.into_iter().collect();
    }
    let id = NotificationId::new(text);
    let by_id = sources.filter_map(|source| Some(Key::new(&source.name, id.as_ref()?)));
    key.into_iter().chain(by_id).collect()
}

/// Whether there is such a row, even if it cannot be read.
async fn exists(inbox: &AnyInbox, key: &Key) -> Result<bool, CommandError> {
    match inbox.get(key).await {
        Ok(row) => Ok(row.is_some()),
        Err(InboxError::Damaged { .. } | InboxError::NewerRow { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn is_long_enough(key: &Key) -> bool {
    key.encoded_id().chars().count() >= MIN_PREFIX_CHARS
}

fn ambiguous(text: &str, keys: &[Key]) -> String {
    let named = keys.iter().take(NAMED_KEYS).map(Key::as_str);
    let more = if keys.len() > NAMED_KEYS {
        " and others"
    } else {
        ""
    };
    format!(
        "`{}` may be any of {}{more}: write the whole key",
        visible(text),
        named.collect::<Vec<_>>().join(", ")
    )
}
