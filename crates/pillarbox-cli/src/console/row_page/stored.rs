//! What is stored about a notification, and who signed it.

use crate::evidence::StoredProof;
use pillarbox::{
    domain::{State, Timestamp},
    inbox::Row,
    telemetry::visible,
};

/// One stored attribute.
pub(super) struct StoredAttribute {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// Who signed it, and whether the signature is still valid.
pub(super) struct SignaturePanel {
    pub(super) is_broken: bool,
    pub(super) verdict: String,
    pub(super) facts: Vec<StoredAttribute>,
}

impl SignaturePanel {
    pub(super) fn of(proof: StoredProof, row: &Row) -> Self {
        let (is_broken, verdict) = match proof {
            StoredProof::Signed => (
                false,
                "Proven now: a secret of its source signed these bytes.",
            ),
            StoredProof::Pulled => (
                false,
                "Pulled: Pillarbox fetched it from its sender over TLS. A pulled notification has \
                 no signature.",
            ),
            StoredProof::Erased => (false, "Its bytes are erased, so nothing is left to prove."),
            StoredProof::OtherSecret(why) => return Self::with(false, &why, row),
            StoredProof::Broken(why) => return Self::with(true, &why, row),
        };
        Self::with(is_broken, verdict, row)
    }

    fn with(is_broken: bool, verdict: &str, row: &Row) -> Self {
        let texts = [
            ("Secret that matched", row.key_label.clone()),
            ("Signature header", row.signature.clone()),
            ("SHA-256 of the bytes", Some(hex::encode(row.digest))),
            (
                "SHA-256 of the content",
                Some(hex::encode(row.content_digest)),
            ),
        ];
        let facts = texts.into_iter();
        let facts = facts.filter_map(|(name, value)| Some(fact(name, &value?)));
        Self {
            is_broken,
            verdict: visible(verdict).into_owned(),
            facts: facts.collect(),
        }
    }
}

pub(super) fn about(row: &Row) -> Vec<StoredAttribute> {
    // A dead or held row has waited for a person since its date.
    let due = if row.state == State::Recorded {
        "Next due"
    } else {
        "Waiting since"
    };
    let lease = row
        .lease
        .map(|lease| format!("{} until {}", lease.id, lease.until));
    vec![
        fact("Source", row.key.source()),
        fact("Sender’s identifier", &row.id()),
        fact("Event type", &row.event_type),
        fact("Payment or box", row.subject.as_deref().unwrap_or("None")),
        fact("Sender’s date", &instant(row.event_at)),
        fact("Received", &row.received_at.to_string()),
        fact("Origin", row.origin.as_str()),
        fact("Attempts", &row.attempts.to_string()),
        fact("Last error", row.last_error.as_deref().unwrap_or("None")),
        fact(due, &instant(row.due_at)),
        fact("Budget began", &row.budget_from.to_string()),
        fact("Lease", lease.as_deref().unwrap_or("None")),
        fact("Removed after", &instant(row.expires_at)),
    ]
}

fn fact(name: &'static str, value: &str) -> StoredAttribute {
    StoredAttribute {
        name,
        value: visible(value).into_owned(),
    }
}

fn instant(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "None".to_owned(), |at| at.to_string())
}
