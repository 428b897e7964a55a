//! The receiver under test: its sources, and an inbox that counts calls.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use pillarbox::{
    domain::{Clock, SourceName, Timestamp},
    inbox::{InboxError, ReceiveInbox, RecordOutcome},
    receive::Receiver,
    secrets::{Keyring, Secret},
    senders::{Acceptance, Entry, SenderKind, SigningKey, Source},
};

use crate::second_verifier::{InstalledSource, SigningSender};

/// The time of the stopped clock.
pub const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);

/// Every source: two of HMRC that share a secret, two of Pay that do not, and two without a secret.
pub const SOURCES: [InstalledSource; 6] = [
    InstalledSource {
        name: "hmrc",
        sender: SigningSender::Hmrc,
        secrets: &[
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "234567ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        ],
    },
    InstalledSource {
        name: "hmrc-too",
        sender: SigningSender::Hmrc,
        secrets: &["ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"],
    },
    InstalledSource {
        name: "pay",
        sender: SigningSender::GovukPay,
        secrets: &["webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu"],
    },
    InstalledSource {
        name: "pay-too",
        sender: SigningSender::GovukPay,
        secrets: &[
            "webhook_test_0qk4h8d2m6r1v5b9f3j7n0s4w8",
            "webhook_test_1rl5i9e3n7s2w6c0g4k8o1t5x9",
        ],
    },
    InstalledSource {
        name: "hmrc-new",
        sender: SigningSender::Hmrc,
        secrets: &[],
    },
    InstalledSource {
        name: "pay-new",
        sender: SigningSender::GovukPay,
        secrets: &[],
    },
];

/// A clock that always returns [`NOW`].
pub struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn random(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }
}

/// An inbox that stores only counts and the last entry.
#[derive(Default)]
pub struct CountingInbox {
    calls: AtomicU64,
    probes: AtomicU64,
    last: Mutex<Option<StoredNotification>>,
}

/// A notification that the receiver passed to the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotification {
    /// The name of its source.
    pub source: String,
    /// Its bytes.
    pub body: Bytes,
    /// Its signature.
    pub signature: Option<String>,
}

impl CountingInbox {
    /// The number of calls that store a notification.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The number of probes.
    pub fn probes(&self) -> u64 {
        self.probes.load(Ordering::Relaxed)
    }

    /// Removes and returns the last notification.
    pub fn take_last(&self) -> Option<StoredNotification> {
        self.last().take()
    }

    fn last(&self) -> MutexGuard<'_, Option<StoredNotification>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReceiveInbox for CountingInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let stored = StoredNotification {
            source: entry.key.source().to_owned(),
            body: entry.body.clone(),
            signature: entry.signature.clone(),
        };
        *self.last() = Some(stored);
        Ok(RecordOutcome::First)
    }

    async fn probe(&self) -> Result<(), InboxError> {
        self.probes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A receiver with all sources.
pub fn receiver<I: ReceiveInbox>(inbox: Arc<I>) -> Receiver<I> {
    let keyring = Keyring::fixed(SOURCES.iter().map(installed));
    let window = Acceptance(Duration::from_secs(60 * 24 * 60 * 60));
    Receiver::new(keyring, inbox, window, Arc::new(StoppedClock))
}

/// The source in the receiver's configuration.
fn installed(source: &InstalledSource) -> Source {
    let kind = match source.sender {
        SigningSender::Hmrc => SenderKind::HMRC,
        SigningSender::GovukPay => SenderKind::GOVUK_PAY,
    };
    let secrets = source.secrets.iter();
    let secrets = secrets.map(|secret| Secret::new((*secret).to_owned()));
    Source {
        name: SourceName::new(source.name).expect("the names above are names of sources"),
        kind,
        keys: secrets
            .map(|secret| SigningKey::new(kind, "1:env:PROOF", &secret))
            .collect(),
    }
}
