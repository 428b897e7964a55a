//! A signed POST to a receiver without a server.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use pillarbox::{
    domain::Clock,
    inbox::ReceiveInbox,
    receive::{HttpRequest, Receipt, Receiver, Refusal, RequestOutcome},
    secrets::Keyring,
    senders::Acceptance,
    telemetry::RequestRecord,
};

/// A POST whose only header is the signature.
struct SignedPost<'a> {
    path: String,
    signature: &'a str,
    body: Bytes,
}

impl HttpRequest for SignedPost<'_> {
    fn method(&self) -> &str {
        "POST"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        assert!(name.ends_with("-signature"), "{name}");
        vec![self.signature.as_bytes()]
    }

    async fn body(&mut self) -> Result<Bytes, Refusal> {
        Ok(self.body.clone())
    }
}

/// Posts `body` to a receiver with this inbox and keyring.
pub async fn post<I: ReceiveInbox>(
    (inbox, keyring): (&Arc<I>, &Arc<Keyring>),
    clock: Arc<dyn Clock>,
    source: &str,
    signature: &str,
    body: impl Into<Bytes>,
) -> Result<Receipt, Refusal> {
    let receiver = Receiver::new(
        Arc::clone(keyring),
        Arc::clone(inbox),
        Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        clock,
    );
    let mut post = SignedPost {
        path: format!("/{source}"),
        signature,
        body: body.into(),
    };
    match receiver
        .handle(&mut post, &mut RequestRecord::default())
        .await?
    {
        RequestOutcome::Stored(receipt) => Ok(receipt),
        RequestOutcome::Challenge(_) | RequestOutcome::Probe(_) => {
            panic!("a POST is neither a challenge nor a probe")
        }
    }
}
