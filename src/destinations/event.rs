//! Converts a stored row to the CloudEvent that a consumer gets.
//!
//! Pure: the same row always gives the same bytes, so a consumer can compare two deliveries.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    domain::Timestamp,
    inbox::{InboxError, Row},
    senders,
};

/// One notification in CloudEvents 1.0, structured JSON.
#[derive(Clone, Debug)]
pub struct Event {
    whole: Bytes,
    envelope: Bytes,
    claim_check: Bytes,
    source: String,
    event_type: String,
    subject: Option<String>,
    time: Option<Timestamp>,
    signed: Option<SignedMessage>,
}

/// A notification as its sender posted and signed it.
#[derive(Clone, Debug)]
pub struct SignedMessage {
    /// The exact bytes.
    pub body: Bytes,
    /// The sender's content type.
    pub content_type: &'static str,
    /// The header that carries the signature, in lower case.
    pub signature_header: &'static str,
    /// The value of that header.
    pub signature: String,
}

/// The members of the envelope, in the order in which they are written.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataref: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl Event {
    /// The event of a stored row.
    ///
    /// # Errors
    /// [`InboxError::Damaged`] if the bytes of the row have changed or cannot be embedded.
    pub fn of(row: &Row) -> Result<Self, InboxError> {
        let damaged = |_| InboxError::Damaged {
            key: row.key.clone(),
            what: "its content cannot be embedded",
        };
        let body = row.proven_body()?;
        let data = senders::data(row.kind, &row.event_type, body);
        let embedded = data
            .as_ref()
            .map(|data| serde_json::from_str(&data.json))
            .transpose()
            .map_err(damaged)?;
        let envelope = CloudEvent {
            specversion: "1.0",
            id: row.key.as_str(),
            source: format!("/{}", row.key.source()),
            event_type: (row.kind.envelope.cloud_event_type)(&row.event_type),
            subject: row.subject.as_deref(),
            time: row.event_at.map(|at: Timestamp| at.to_string()),
            datacontenttype: data.as_ref().map(|data| data.content_type.as_str()),
            dataref: None,
            data: None,
        };
        let to_json = |event: &CloudEvent<'_>| {
            let json = serde_json::to_vec(event).map_err(damaged);
            json.map(Bytes::from)
        };
        let without_data = to_json(&envelope)?;
        let envelope = CloudEvent {
            dataref: Some(row.key.as_str()),
            ..envelope
        };
        let claim_check = to_json(&envelope)?;
        let envelope = CloudEvent {
            dataref: None,
            data: embedded,
            ..envelope
        };
        Ok(Self {
            whole: to_json(&envelope)?,
            envelope: without_data,
            claim_check,
            source: row.key.source().to_owned(),
            event_type: row.event_type.clone(),
            subject: row.subject.clone(),
            time: row.event_at,
            signed: signed(row, body),
        })
    }

    /// The notification as its sender posted it; `None` if it was pulled, because senders sign only
    /// messages that they post.
    pub fn signed(&self) -> Option<&SignedMessage> {
        self.signed.as_ref()
    }

    /// The whole event: one JSON object, byte-identical on every attempt.
    pub fn json(&self) -> &Bytes {
        &self.whole
    }

    /// The event without its `data`, which contains the personal data.
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }

    /// The event for a destination that the whole event is too large for. Instead of `data` it has
    /// `dataref`, the key, by which `pillarbox show` prints the whole notification.
    pub fn claim_check(&self) -> &Bytes {
        &self.claim_check
    }

    /// The name of the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Pay's event type, or `notification`. The CloudEvent's `type` is this with a prefix for the
    /// sender.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The id of the payment or box.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The sender's date.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }
}

fn signed(row: &Row, body: &Bytes) -> Option<SignedMessage> {
    row.signature.clone().map(|signature| SignedMessage {
        body: body.clone(),
        content_type: row.kind.content_type,
        signature_header: row.kind.signature.header,
        signature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        destinations::example::row,
        senders::example::{NOW, hmrc, observed, pay},
    };

    /// Consumers rely on these bytes: they change only with a new major version.
    #[test]
    fn an_event_has_exactly_these_bytes() {
        let paid = pay("m1", "p1", "card_payment_succeeded", NOW);
        let event = Event::of(&row(&paid)).unwrap();
        assert_eq!(
            event.json(),
            concat!(
                r#"{"specversion":"1.0","id":"pay:m1","source":"/pay","#,
                r#""type":"uk.gov.payments.card_payment_succeeded","subject":"p1","#,
                r#""time":"2026-03-02T10:15:31.480Z","datacontenttype":"application/json","#,
                r#""data":{"amount":5000}}"#,
            )
        );
        assert_eq!(
            event.envelope(),
            concat!(
                r#"{"specversion":"1.0","id":"pay:m1","source":"/pay","#,
                r#""type":"uk.gov.payments.card_payment_succeeded","subject":"p1","#,
                r#""time":"2026-03-02T10:15:31.480Z","datacontenttype":"application/json"}"#,
            )
        );

        assert_eq!(
            event.claim_check(),
            concat!(
                r#"{"specversion":"1.0","id":"pay:m1","source":"/pay","#,
                r#""type":"uk.gov.payments.card_payment_succeeded","subject":"p1","#,
                r#""time":"2026-03-02T10:15:31.480Z","datacontenttype":"application/json","#,
                r#""dataref":"pay:m1"}"#,
            )
        );

        let filed = hmrc("n1", r#"{"duty": 1.10, "n":1e400}"#);
        assert_eq!(
            Event::of(&row(&filed)).unwrap().json(),
            concat!(
                r#"{"specversion":"1.0","id":"hmrc:n1","source":"/hmrc","#,
                r#""type":"uk.gov.hmrc.ppns.notification","subject":"50dca3fc","#,
                r#""time":"2026-03-02T10:15:31.480Z","datacontenttype":"application/json","#,
                r#""data":{"duty": 1.10, "n":1e400}}"#,
            )
        );
    }

    #[test]
    fn only_posted_notifications_are_signed() {
        let entry = pay("m1", "p1", "card_payment_succeeded", NOW);
        let event = Event::of(&row(&entry)).unwrap();
        let message = event.signed().unwrap();
        assert_eq!(message.body, entry.body);
        assert_eq!(Some(&message.signature), entry.signature.as_ref());
        assert_eq!(
            (message.signature_header, message.content_type),
            ("pay-signature", "application/json")
        );
        assert!(Event::of(&row(&observed("p1"))).unwrap().signed().is_none());
    }

    #[test]
    fn an_observation_contains_the_whole_answer() {
        let event = Event::of(&row(&observed("p1"))).unwrap();
        assert_eq!(
            event.json(),
            concat!(
                r#"{"specversion":"1.0","id":"pay:observed-p1-6b7143137ff55b56","source":"/pay","#,
                r#""type":"uk.gov.payments.observed","subject":"p1","#,
                r#""time":"2026-03-02T10:15:31.480Z","datacontenttype":"application/json","#,
                r#""data":{"amount":5000,"state":{"status":"success","finished":true},"#,
                r#""payment_id":"p1","created_date":"2016-03-02T10:15:31.480Z"}}"#,
            )
        );
    }

    #[test]
    fn a_row_whose_bytes_changed_has_no_event() {
        let mut row = row(&pay("m1", "p1", "card_payment_succeeded", NOW));
        row.body = Some(Bytes::from_static(b"{}"));
        assert!(matches!(Event::of(&row), Err(InboxError::Damaged { .. })));
    }
}
