//! Rows of every life, made in an inbox.

use std::time::Duration;

use bytes::Bytes;
use sender_simulator::{Sender, signature};

use pillarbox::{
    domain::{Clock, Key, SourceName, SystemClock, Timestamp},
    inbox::{
        Claim, DiscardOutcome, DiscardRequest, Fence, Inbox, Lease, LeaseId, Mark, RecordOutcome,
    },
    secrets::Secret,
    senders::{Acceptance, Entry, SenderKind, SigningKey, example, read, verify},
};
use test_support::process::{HMRC_SECRET, PAY_SECRET};

use super::{DAY, tampering::tamperings};

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowLife {
    /// Pay: nothing yet.
    Recorded,
    /// HMRC: an attempt is under way.
    Leased,
    /// HMRC: an attempt failed.
    Retried,
    /// Pay.
    Delivered,
    /// Pay: under a second id.
    Repeat,
    /// HMRC.
    Dead,
    /// Pay: no JSON.
    Unreadable,
    /// Pay: other content under a known id.
    Conflict,
    /// Pay: dated too long ago.
    Stale,
    /// Pay: a stale one that a person replayed.
    Replayed,
    /// HMRC, from dead.
    Discarded,
    /// Pay, from recorded.
    Erased,
    /// HMRC: listed and delivered.
    Pulled,
    /// Pay: requested.
    Observed,
    /// HMRC: a body that is not in its row.
    Long,
    /// HMRC: sent in another form than it was signed in.
    Rewritten,
    /// The same, and no JSON.
    RewrittenUnreadable,
}

impl RowLife {
    pub(super) const ALL: [Self; 17] = [
        Self::Recorded,
        Self::Leased,
        Self::Retried,
        Self::Delivered,
        Self::Repeat,
        Self::Dead,
        Self::Unreadable,
        Self::Conflict,
        Self::Stale,
        Self::Replayed,
        Self::Discarded,
        Self::Erased,
        Self::Pulled,
        Self::Observed,
        Self::Long,
        Self::Rewritten,
        Self::RewrittenUnreadable,
    ];
}

/// A stored value.
#[derive(Clone, Debug)]
pub(super) enum StoredValue {
    Text(&'static str),
    Number(i64),
    /// A time in milliseconds; DynamoDB stores expiries in seconds.
    Time(i64),
    Bytes(Vec<u8>),
    Nothing,
}

fn pay_body(id: &str, payment: &str, at: Timestamp) -> String {
    let ids = format!(r#""webhook_message_id":"{id}","resource_id":"{payment}""#);
    let event = format!(r#""created_date":"{at}","event_type":"card_payment_succeeded""#);
    format!(r#"{{{ids},{event},"resource":{{"amount":5000}}}}"#)
}

fn hmrc_body(id: &str, message: &str, at: Timestamp) -> String {
    let ids = format!(r#""notificationId":"{id}","boxId":"50dca3fc","createdDateTime":"{at}""#);
    let content = format!(r#""messageContentType":"application/json","message":"{message}""#);
    format!(r#"{{{ids},{content},"status":"PENDING"}}"#)
}

/// An entry as receiving makes it.
fn entry(sender: Sender, secret: &str, body: String, now: Timestamp) -> Entry {
    rewritten(sender, secret, body.clone(), body, now)
}

/// An entry of a body that was sent in another form than it was signed in.
fn rewritten(sender: Sender, secret: &str, signed: String, body: String, now: Timestamp) -> Entry {
    let (kind, name, variable) = match sender {
        Sender::Hmrc => (SenderKind::HMRC, "hmrc", "HMRC_PUSH_SECRET"),
        Sender::GovukPay => (SenderKind::GOVUK_PAY, "pay", "PAY_SIGNING_SECRET"),
    };
    let body = Bytes::from(body);
    let signature = signature::sign(sender, secret, signed.as_bytes());
    let label = format!("1:env:{variable}");
    let key = SigningKey::new(kind, label, &Secret::new(secret.to_owned()));
    let verified = verify(kind, &[key], &[signature.as_bytes()], body, now).unwrap();
    let window = Acceptance(60 * DAY);
    read(&SourceName::new(name).unwrap(), verified, now, window)
}

/// A number that no text compresses.
fn noise(seed: usize, digits: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut digit = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        format!("{:016x}", state ^ (state >> 29))
    };
    let mut text = String::new();
    while text.len() < digits {
        text += &digit();
    }
    text
}

pub(super) struct EvidenceMaker<'a, I> {
    pub(super) inbox: &'a I,
    pub(super) pay_secret: &'a str,
    pub(super) now: Timestamp,
}

impl<I: Inbox> EvidenceMaker<'_, I> {
    async fn claimed(&self, key: &Key) -> Fence {
        let lease = Lease {
            id: LeaseId(1),
            until: self.now.plus(Duration::from_secs(150)),
        };
        let claim = Claim {
            now: self.now,
            lease,
            first_backoff: Duration::from_secs(5),
        };
        self.inbox.claim(key, &claim).await.unwrap().unwrap().1
    }

    async fn mark(&self, key: &Key, mark: Mark) {
        let fence = self.claimed(key).await;
        self.inbox.mark(&fence, &mark).await.unwrap();
    }

    async fn deliver(&self, key: &Key) {
        let expires_at = self.now.plus(90 * DAY);
        self.mark(key, Mark::Delivered { expires_at }).await;
    }

    async fn kill(&self, key: &Key) {
        let mark = Mark::Dead {
            reason: "refused".to_owned(),
            error: "refused: https: status 422".to_owned(),
            at: self.now,
        };
        self.mark(key, mark).await;
    }

    async fn discard(&self, key: &Key, erase: bool) {
        let request = DiscardRequest {
            erase,
            now: self.now,
            expires_at: self.now.plus(90 * DAY),
        };
        let discarded = self.inbox.discard(key, &request).await.unwrap();
        assert_eq!(discarded, DiscardOutcome::Done);
    }

    /// Stores a row and lets it live.
    pub(super) async fn row(&self, life: RowLife, number: usize) -> Key {
        let now = self.now;
        let (id, payment) = (format!("m{number}"), format!("p{number}"));
        let pay = |body| entry(Sender::GovukPay, self.pay_secret, body, now);
        let hmrc = |message: &str| {
            let body = hmrc_body(&format!("n{number}"), message, now);
            entry(Sender::Hmrc, HMRC_SECRET, body, now)
        };
        let escaped = |signed: String| {
            let sent = signed.replace('\u{1F600}', "\\uD83D\\uDE00");
            rewritten(Sender::Hmrc, HMRC_SECRET, signed, sent, now)
        };
        let entry = match life {
            RowLife::Rewritten => escaped(hmrc_body(&format!("n{number}"), "\u{1F600}", now)),
            RowLife::RewrittenUnreadable => escaped(format!("\u{1F600} {number}")),
            RowLife::Leased | RowLife::Retried | RowLife::Dead | RowLife::Discarded => hmrc("[1]"),
            RowLife::Long => hmrc(&noise(number, 40_000)),
            RowLife::Unreadable => pay(format!("no JSON {number}")),
            RowLife::Stale | RowLife::Replayed => pay(pay_body(&id, &payment, now.minus(70 * DAY))),
            RowLife::Pulled => example::hmrc_pulled(&format!("n{number}"), "[1]"),
            RowLife::Observed => example::observed(&payment),
            _ => pay(pay_body(&id, &payment, now)),
        };
        let key = entry.key.clone();
        assert_eq!(
            self.inbox.record(&entry).await.unwrap(),
            RecordOutcome::First
        );
        match life {
            RowLife::Recorded
            | RowLife::Unreadable
            | RowLife::Stale
            | RowLife::Observed
            | RowLife::Rewritten
            | RowLife::RewrittenUnreadable => {}
            RowLife::Leased => drop(self.claimed(&key).await),
            RowLife::Retried => {
                let mark = Mark::Retry {
                    due_at: now.plus(Duration::from_secs(3_600)),
                    error: "https: status 503".to_owned(),
                };
                self.mark(&key, mark).await;
            }
            RowLife::Delivered | RowLife::Pulled | RowLife::Long => self.deliver(&key).await,
            RowLife::Dead => self.kill(&key).await,
            RowLife::Replayed => {
                self.inbox.replay(&key, now.plus(DAY)).await.unwrap();
            }
            RowLife::Discarded => {
                self.kill(&key).await;
                self.discard(&key, false).await;
            }
            RowLife::Erased => {
                self.discard(&key, true).await;
            }
            RowLife::Conflict => {
                let other = pay(pay_body(&id, "another", now));
                let recorded = self.inbox.record(&other).await.unwrap();
                let RecordOutcome::Conflict(conflict) = recorded else {
                    panic!("{recorded:?}");
                };
                return conflict;
            }
            RowLife::Repeat => {
                let second = pay(pay_body(&format!("{id}-again"), &payment, now));
                self.inbox.record(&second).await.unwrap();
                let of = key.clone();
                let expires_at = now.plus(90 * DAY);
                self.mark(&second.key, Mark::Repeat { of, expires_at })
                    .await;
                return second.key;
            }
        }
        key
    }
}

/// The keys of a row for each tampering, each before and after.
pub(super) async fn rows(inbox: &impl Inbox) -> Vec<Key> {
    let maker = EvidenceMaker {
        inbox,
        pay_secret: PAY_SECRET,
        now: SystemClock.now(),
    };
    let mut keys = Vec::new();
    for (number, (life, ..)) in tamperings().into_iter().enumerate() {
        keys.push(maker.row(life, number).await);
    }
    keys
}

/// The key of a row after a change to it.
pub(super) fn key_after(key: &Key, column: &str, value: &StoredValue) -> String {
    match value {
        StoredValue::Text(text) if column == "pk" => (*text).to_owned(),
        _ => key.to_string(),
    }
}
