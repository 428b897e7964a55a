//! Receiving with keys that may change under way: [`receive`], and at most one reading of newer keys.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{KeySnapshot, Keyring};
use crate::{
    inbox::Inbox,
    receive::{Callback, Receipt, Refusal, receive},
    senders::{Acceptance, SignatureError, Source, verify},
};

/// Takes one notification in with the keys there are now, within `patience`. Every front receives through this.
///
/// A signature that no key made, or a source without one, has the keys read again if it is time, and is
/// looked at once more: a key that was just installed costs its first request no refusal. One that did
/// match, by a copy that is old, is only stored if it still does: a key that was withdrawn ends.
pub async fn take_in(
    inbox: &impl Inbox,
    keyring: &Arc<Keyring>,
    callback: Callback<'_>,
    window: Acceptance,
    patience: Duration,
) -> Result<Receipt, Refusal> {
    let deadline = Instant::now() + patience;
    let left = || deadline.saturating_duration_since(Instant::now());
    let name = &callback.source.name;
    let mut keys = keyring.keys();
    if keyring.is_old(&keys, name) && is_genuine(&with(&keys, &callback)) {
        keys = renewed(keyring, &keys, deadline).await;
    }
    let received = receive(inbox, with(&keys, &callback), window, left()).await;
    if !(keyring.renews(name) && may_be_behind(&received)) {
        return received;
    }
    let newer = renewed(keyring, &keys, deadline).await;
    if Arc::ptr_eq(&newer, &keys) {
        return received;
    }
    receive(inbox, with(&newer, &callback), window, left()).await
}

/// The same callback, to be proven by these keys.
fn with<'a>(keys: &'a KeySnapshot, callback: &Callback<'a>) -> Callback<'a> {
    let source: &Source = keys
        .sources()
        .get(&callback.source.name)
        .unwrap_or(callback.source);
    Callback {
        source,
        signatures: callback.signatures,
        body: callback.body.clone(),
        received_at: callback.received_at,
    }
}

fn is_genuine(callback: &Callback<'_>) -> bool {
    let Callback {
        source,
        signatures,
        body,
        ..
    } = callback;
    verify(source.kind, &source.keys, signatures, body.clone()).is_ok()
}

/// Whether this refusal may be our own keys' fault. Nothing was stored then.
fn may_be_behind(received: &Result<Receipt, Refusal>) -> bool {
    matches!(
        received,
        Err(Refusal::NoSecret | Refusal::Signature(SignatureError::Wrong))
    )
}

async fn renewed(
    keyring: &Arc<Keyring>,
    keys: &Arc<KeySnapshot>,
    deadline: Instant,
) -> Arc<KeySnapshot> {
    timeout_at(deadline, keyring.renewed(keys))
        .await
        .unwrap_or_else(|_| Arc::clone(keys))
}
