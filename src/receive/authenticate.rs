//! Verifies a callback with a source's secrets, and with newer secrets if those may be out of date.
//!
//! If no key matches the signature, or the source has no key, the keyring renews the secrets and
//! the signature is verified once more, so that the first request after a rotation is accepted. A
//! signature that matches an old snapshot must match a newer one too, so that a withdrawn secret
//! stops working. The keyring limits how often secrets are fetched.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::Refusal;
use crate::{
    domain::Timestamp,
    secrets::{KeySnapshot, Keyring},
    senders::{SignatureError, Source, Verified, verify},
};

/// A POST to a source.
pub(super) struct CallbackRequest<'a> {
    source: &'a Source,
    signatures: &'a [&'a [u8]],
    body: &'a Bytes,
    received_at: Timestamp,
}

impl<'a> CallbackRequest<'a> {
    pub(super) fn new(
        source: &'a Source,
        signatures: &'a [&'a [u8]],
        body: &'a Bytes,
        received_at: Timestamp,
    ) -> Self {
        Self {
            source,
            signatures,
            body,
            received_at,
        }
    }
}

/// Proves that the sender of `callback`'s source signed its body. Secrets are read again at most
/// once, and not past `deadline`.
pub(super) async fn authenticate(
    keyring: &Arc<Keyring>,
    callback: &CallbackRequest<'_>,
    deadline: Instant,
) -> Result<Verified, Refusal> {
    let name = &callback.source.name;
    let keys = keyring.keys();
    let result = verify_with(&keys, callback);
    let may_be_outdated = match &result {
        Ok(_) => keyring.is_old(&keys, name),
        Err(Refusal::NoSecret | Refusal::Signature(SignatureError::Wrong)) => keyring.renews(name),
        Err(_) => false,
    };
    if !may_be_outdated {
        return result;
    }
    let newer = timeout_at(deadline, keyring.renewed(&keys)).await;
    match newer {
        Ok(newer) if !Arc::ptr_eq(&newer, &keys) => verify_with(&newer, callback),
        _ => result,
    }
}

fn verify_with(keys: &KeySnapshot, callback: &CallbackRequest<'_>) -> Result<Verified, Refusal> {
    let source = keys.sources().get(&callback.source.name);
    let source = source.unwrap_or(callback.source);
    if source.keys.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let body = callback.body.clone();
    let now = callback.received_at;
    verify(source.kind, &source.keys, callback.signatures, body, now).map_err(Refusal::Signature)
}
