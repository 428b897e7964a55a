//! Checks that a stored row is what was received.
//!
//! Every field that follows from the bytes and the signature is derived again and compared. The
//! other fields must be consistent: the state, the pending index, the dates, the reason and the
//! number of attempts must match each other, and only an erased row may lack its bytes.
//!
//! The fingerprint of the secret distinguishes a rotated secret from a changed row: a signature
//! that no configured secret made is broken only if the row names a configured secret.

use std::{collections::HashMap, time::Duration};

use pillarbox::{
    domain::{HeldReason, Key, Origin, SourceName, State, Timestamp},
    inbox::Row,
    senders::{DerivedFields, SignatureError, Source, derive, verify},
    telemetry::visible,
};
use sha2::{Digest, Sha256};

/// How far a stored time may be in the future, since the clock may have been a day ahead.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// How far a date may be ahead of its receipt without the row being held.
const MAX_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest acceptance window that a configuration may have.
const MIN_ACCEPTANCE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest retention that a configuration may have.
const MAX_RETENTION: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// More than any row can have in the three days of its budget.
const MAX_ATTEMPTS: u32 = 100_000;
/// The longest that an open row waits for its next attempt.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// The result of checking a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoredProof {
    /// Signed with a configured secret, over exactly these bytes.
    Signed,
    /// Pulled, so not signed; its fields match its bytes.
    Pulled,
    /// A person erased its bytes.
    Erased,
    /// Its fields match its bytes, but it was signed with a secret that is not configured.
    OtherSecret(String),
    /// It is not what was received.
    Broken(String),
}

impl StoredProof {
    /// The verdict as `--json` names it, and its reason.
    pub(crate) fn verdict(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Signed => ("signed", None),
            Self::Pulled => ("pulled", None),
            Self::Erased => ("erased", None),
            Self::OtherSecret(why) => ("other_secret", Some(why)),
            Self::Broken(why) => ("broken", Some(why)),
        }
    }
}

/// The configuration that rows are checked against.
pub(crate) struct ProofContext {
    /// The configured senders, by name.
    pub(crate) sources: HashMap<String, Source>,
    /// The number of shards of the pending index, if the inbox has a fixed number.
    pub(crate) shards: Option<u32>,
    /// The time of this check.
    pub(crate) now: Timestamp,
}

impl ProofContext {
    /// Checks a row with its bytes.
    pub(crate) fn prove(&self, row: &Row) -> StoredProof {
        let mut faults = RowFaults::default();
        faults.add_all(state_faults(row, self.shards));
        faults.add_all(time_faults(row, self.now));
        faults.add_all(proof_faults(row));
        let Some(body) = &row.body else {
            let may_lack_bytes = row.state == State::Discarded;
            faults.add(!may_lack_bytes, "its bytes are gone, and it was not erased");
            return faults.or(&row.key, StoredProof::Erased);
        };
        faults.add_all(content_faults(row, body));
        if row.origin == Origin::Pull {
            self.check_kind(row, &mut faults);
            return faults.or(&row.key, StoredProof::Pulled);
        }
        let proof = self.check_signature(row, &mut faults);
        faults.or(&row.key, proof)
    }

    fn check_kind(&self, row: &Row, faults: &mut RowFaults) {
        let source = self.sources.get(row.key.source());
        faults.add(
            source.is_some_and(|source| source.kind != row.kind),
            "its kind is not that of its source",
        );
    }

    fn check_signature(&self, row: &Row, faults: &mut RowFaults) -> StoredProof {
        self.check_kind(row, faults);
        let (Some(signature), Some(body)) = (&row.signature, &row.body) else {
            return StoredProof::Signed; // `proof_faults` names what is missing
        };
        let keys = self
            .sources
            .get(row.key.source())
            .map_or(&[][..], |source| &source.keys);
        let signatures = [signature.as_bytes()];
        match verify(row.kind, keys, &signatures, body.clone(), row.received_at) {
            Ok(verified) => {
                let fingerprint = row.secret_fingerprint;
                faults.add(
                    fingerprint.is_some_and(|stored| stored != verified.fingerprint()),
                    "its fingerprint is not of the secret that signed it",
                );
                StoredProof::Signed
            }
            Err(SignatureError::Wrong) => self.check_unmatched_signature(row, faults),
            Err(error) => {
                faults.add(true, &error.to_string());
                StoredProof::Signed
            }
        }
    }

    /// Decides whether a signature that no secret of its source made is broken, or was made with a
    /// secret that is not configured.
    fn check_unmatched_signature(&self, row: &Row, faults: &mut RowFaults) -> StoredProof {
        let label = row.key_label.as_deref().unwrap_or("-");
        let source = self.sources.get(row.key.source());
        match row.secret_fingerprint {
            Some(fingerprint) => {
                let mut others = self.sources.values();
                let has_secret = |source: &&Source| {
                    let mut keys = source.keys.iter();
                    keys.any(|key| key.fingerprint() == fingerprint)
                };
                let is_configured = source.as_ref().is_some_and(has_secret);
                faults.add(is_configured, &SignatureError::Wrong.to_string());
                faults.add(
                    !is_configured && source.is_some() && others.any(|other| has_secret(&other)),
                    "it was signed with a secret of another source",
                );
            }
            None => {
                let has_label = |source: &Source| {
                    let mut keys = source.keys.iter();
                    keys.any(|key| key.label() == label)
                };
                let fault = format!(
                    "{}; or {} holds another secret now: the row has no fingerprint of its secret",
                    SignatureError::Wrong,
                    visible(label)
                );
                faults.add(source.is_some_and(has_label), &fault);
            }
        }
        let fingerprint = row.secret_fingerprint.map_or_else(
            || "without a fingerprint".to_owned(),
            |fingerprint| format!("fingerprint {fingerprint}"),
        );
        StoredProof::OtherSecret(format!(
            "{}: signed with a secret that is not configured: it was {}, {fingerprint}",
            row.key,
            visible(label)
        ))
    }
}

/// What is wrong with a row.
#[derive(Default)]
struct RowFaults(Vec<String>);

impl RowFaults {
    fn add(&mut self, is_wrong: bool, what: &str) {
        if is_wrong {
            self.0.push(what.to_owned());
        }
    }

    fn add_all(&mut self, checks: impl IntoIterator<Item = (bool, &'static str)>) {
        for (is_wrong, what) in checks {
            self.add(is_wrong, what);
        }
    }

    /// `proof`, or the faults if there are any.
    fn or(self, key: &Key, proof: StoredProof) -> StoredProof {
        if self.0.is_empty() {
            proof
        } else {
            StoredProof::Broken(format!("{key} is broken: {}", self.0.join("; ")))
        }
    }
}

/// Whether the state matches the fields that depend on it.
fn state_faults(row: &Row, shards: Option<u32>) -> [(bool, &'static str); 9] {
    let partition = row.state.index_partition();
    let is_unsigned = held_reason(row) == Some(HeldReason::Unsigned);
    [
        (
            !is_in_index(row, shards),
            "its place in the pending index does not fit its state",
        ),
        (
            partition.is_some() != row.due_at.is_some(),
            "its due date does not fit its state",
        ),
        (
            partition.is_some() == row.expires_at.is_some(),
            "its expiry does not fit its state",
        ),
        (!has_reason(row), "its reason does not fit its state"),
        (!has_attempts(row), "its attempts do not fit its state"),
        (
            row.attempts > MAX_ATTEMPTS,
            "it has impossibly many attempts",
        ),
        (
            row.lease.is_some() && (row.state != State::Recorded || row.attempts == 0),
            "it has a lease, and no attempt that could hold it",
        ),
        (
            row.state == State::Dead && row.last_error.is_none(),
            "it is dead without an error",
        ),
        (
            row.state == State::Held && !is_unsigned && row.last_error.is_some(),
            "it has an error, and was never attempted",
        ),
    ]
}

/// Whether the reason matches the state.
fn has_reason(row: &Row) -> bool {
    let reason = row.reason.as_deref();
    match row.state {
        State::Recorded | State::Delivered => reason.is_none(),
        State::Dead => reason.is_some_and(|reason| !reason.is_empty()),
        State::Held => held_reason(row).is_some(),
        State::Repeat => reason.and_then(Key::parse).is_some_and(|owner| {
            owner != row.key && owner.source() == row.key.source() && row.event().is_some()
        }),
        State::Discarded => true,
    }
}

/// Whether the number of attempts matches the state.
fn has_attempts(row: &Row) -> bool {
    match row.state {
        State::Recorded | State::Discarded => true,
        // Delivery holds rows that a destination cannot take. All others are held when stored.
        State::Held => (held_reason(row) == Some(HeldReason::Unsigned)) == (row.attempts > 0),
        State::Delivered | State::Repeat | State::Dead => row.attempts > 0,
    }
}

fn is_in_index(row: &Row, shards: Option<u32>) -> bool {
    match (row.state.index_partition(), row.index_partition.as_deref()) {
        (None, None) => true,
        (Some(expected), Some(found)) => found
            .strip_prefix(expected)
            .and_then(|rest| rest.strip_prefix(':'))
            .and_then(|shard| shard.parse::<u32>().ok())
            .is_some_and(|shard| shards.is_none_or(|shards| shard < shards)),
        _ => false,
    }
}

/// Why a row is held; `None` if it is not held, or its reason is unknown.
fn held_reason(row: &Row) -> Option<HeldReason> {
    let reason = row.reason.as_deref().filter(|_| row.state == State::Held)?;
    HeldReason::ALL
        .into_iter()
        .find(|known| known.as_str() == reason)
}

/// Whether the times are possible.
fn time_faults(row: &Row, now: Timestamp) -> [(bool, &'static str); 7] {
    let latest = now.plus(FUTURE_TOLERANCE);
    let is_in_future = |at: Timestamp| at > latest;
    [
        (
            is_in_future(row.received_at),
            "it was received in the future",
        ),
        (
            is_in_future(row.budget_from),
            "its budget begins in the future",
        ),
        (
            row.budget_from < row.received_at.minus(FUTURE_TOLERANCE),
            "its budget began before it was received",
        ),
        (
            row.due_at.is_some_and(|at| at > latest.plus(MAX_WAIT)),
            "it is due later than any attempt is",
        ),
        (
            row.lease
                .is_some_and(|lease| lease.until > latest.plus(MAX_WAIT)),
            "its lease is longer than any attempt",
        ),
        (
            row.expires_at.is_some_and(|at| at < row.received_at),
            "it expired before it was received",
        ),
        (
            row.expires_at
                .is_some_and(|at| at > latest.plus(MAX_RETENTION)),
            "it expires later than any retention allows",
        ),
    ]
}

/// Whether a pushed row has a signature and the name of a secret, and a pulled row neither.
fn proof_faults(row: &Row) -> [(bool, &'static str); 4] {
    let is_pushed = row.origin == Origin::Push;
    [
        (
            is_pushed && row.signature.is_none(),
            "it was pushed, and has no signature",
        ),
        (
            is_pushed && row.key_label.is_none(),
            "it was pushed, and names no secret",
        ),
        (
            !is_pushed && row.signature.is_some(),
            "it was pulled, and has a signature",
        ),
        (
            !is_pushed && (row.key_label.is_some() || row.secret_fingerprint.is_some()),
            "it was pulled, and names a secret",
        ),
    ]
}

/// Whether the fields match the bytes.
fn content_faults(row: &Row, body: &[u8]) -> Vec<(bool, &'static str)> {
    let Some(source) = SourceName::new(row.key.source()) else {
        return vec![(true, "its key has no source")];
    };
    let derive = |form: &[u8]| derive(&source, row.kind, row.origin, form, row.received_at);
    // A sender may sign another form of the bytes than it sends, and then the fields are of that
    // form.
    let as_sent = derive(body);
    let canonical = (row.kind.signature.canonical)(body);
    let as_signed = canonical.filter(|_| row.origin == Origin::Push);
    let derived = as_signed
        .map(|form| derive(&form))
        .filter(|derived| has_fields(row, derived))
        .unwrap_or(as_sent);
    let mut faults = vec![(
        Sha256::digest(body)[..] != row.digest,
        "its bytes do not match their digest",
    )];
    faults.extend(derived_faults(row, &derived));
    faults.extend(held_faults(row, &derived));
    faults
}

fn has_fields(row: &Row, derived: &DerivedFields) -> bool {
    derived_faults(row, derived)
        .iter()
        .all(|(is_wrong, _)| !is_wrong)
}

fn derived_faults(row: &Row, derived: &DerivedFields) -> [(bool, &'static str); 5] {
    [
        (
            row.key != derived.key && row.key != conflict_key(derived),
            "its bytes do not match its key",
        ),
        (
            row.content_digest != derived.content_digest,
            "its bytes do not match its content digest",
        ),
        (
            row.event_type != derived.event_type,
            "its bytes do not match its event type",
        ),
        (
            row.subject != derived.subject,
            "its bytes do not match its subject",
        ),
        (
            row.event_at != derived.event_at,
            "its bytes do not match its date",
        ),
    ]
}

fn conflict_key(derived: &DerivedFields) -> Key {
    derived.key.conflict(&derived.content_digest)
}

/// Whether the bytes justify that the row is held, or that it is not.
fn held_faults(row: &Row, derived: &DerivedFields) -> [(bool, &'static str); 3] {
    let is_ahead = |at: Timestamp| at > row.received_at.plus(MAX_AHEAD);
    let is_old = |at: Timestamp| at < row.received_at.minus(MIN_ACCEPTANCE);
    let fits = match held_reason(row) {
        Some(HeldReason::Unreadable) => derived.event_at.is_none(),
        Some(HeldReason::Conflict) => row.key == conflict_key(derived),
        Some(HeldReason::Stale) => derived
            .event_at
            .is_some_and(|at| is_ahead(at) || is_old(at)),
        Some(HeldReason::Unsigned) => row.origin == Origin::Pull && derived.event_at.is_some(),
        Some(HeldReason::Imported) => derived.event_at.is_some(),
        None => true,
    };
    let is_ended = matches!(row.state, State::Held | State::Discarded);
    let was_replayed = row.budget_from != row.received_at;
    [
        (!fits, "its bytes are no reason to hold it"),
        (
            derived.event_at.is_none() && !is_ended,
            "its bytes are unreadable, and it is not held",
        ),
        (
            !is_ended && !was_replayed && derived.event_at.is_some_and(is_ahead),
            "it is dated long after it was received, and was not held",
        ),
    ]
}
