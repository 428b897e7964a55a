//! The history of one payment, from its rows and its ledger: its events in the order of the
//! sender's dates, how late each was received, its state, and the events that must have happened
//! but were not received. It does no I/O; `find` and the console print it.

use std::time::Duration;

use pillarbox::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{LedgerEntry, Row},
    senders::{OBSERVED_EVENT_TYPE, PaymentFacts},
};

/// Pay makes its first attempts immediately, after 1 minute and after 5 minutes. An event that is
/// received later was refused or missed before.
const LATE_AFTER: Duration = Duration::from_secs(10 * 60);

const SUCCEEDED: &str = "card_payment_succeeded";
const CAPTURED: &str = "card_payment_captured";
const REFUNDED: &str = "card_payment_refunded";

/// The history of one payment.
#[derive(Clone, Debug)]
pub struct PaymentHistory {
    /// Its source.
    pub source: String,
    /// Its id at Pay.
    pub payment: String,
    /// The details in its latest message.
    pub facts: PaymentFacts,
    /// Its events in the order of the sender's dates.
    pub events: Vec<PaymentHistoryEvent>,
    /// The event types that must have preceded a received event, and were not received.
    pub not_received: Vec<&'static str>,
}

/// One event of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentHistoryEvent {
    /// The key of its notification.
    pub key: Key,
    /// Pay's event type, or `observed`.
    pub event_type: String,
    /// The sender's date.
    pub at: Option<Timestamp>,
    /// The amount refunded by this event, in pence.
    pub refund: Option<u64>,
    /// Its notification; `None` if the row has expired and only the ledger has the event.
    pub notification: Option<EventNotification>,
}

/// The notification of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNotification {
    /// When it was received.
    pub received_at: Timestamp,
    /// Whether it was pushed or pulled.
    pub origin: Origin,
    /// Its state.
    pub state: State,
    /// The reason of its state.
    pub reason: Option<String>,
    /// How long after the event it was received, if that is late.
    pub late_by: Option<Duration>,
}

impl PaymentHistory {
    /// Builds the history from `rows`, with their bytes, and the ledger.
    pub fn new(source: &str, payment: &str, rows: &[Row], ledger: &[LedgerEntry]) -> Self {
        let mut rows: Vec<(&Row, PaymentFacts)> =
            rows.iter().map(|row| (row, facts(row))).collect();
        rows.sort_by_key(|(row, _)| (row.event_at, row.received_at));
        let mut events = Vec::new();
        let mut refunded = 0;
        for (row, facts) in &rows {
            let total = facts.refunded.unwrap_or(refunded);
            let is_refund = row.event_type == REFUNDED && row.state != State::Repeat;
            let refund = is_refund.then(|| total.saturating_sub(refunded));
            refunded = refunded.max(total);
            events.push(PaymentHistoryEvent::of(row, refund));
        }
        let has_expired = |entry: &&LedgerEntry| rows.iter().all(|(row, _)| row.key != entry.owner);
        events.extend(
            ledger
                .iter()
                .filter(has_expired)
                .map(PaymentHistoryEvent::of_ledger),
        );
        events.sort_by_key(|event| event.at);
        let latest = rows.iter().rev().map(|(_, facts)| facts);
        let latest = latest
            .clone()
            .find(|facts| facts.reference.is_some())
            .or(rows.last().map(|(_, facts)| facts));
        Self {
            source: source.to_owned(),
            payment: payment.to_owned(),
            facts: latest.cloned().unwrap_or_default(),
            not_received: not_received(&events),
            events,
        }
    }
}

impl PaymentHistoryEvent {
    fn of(row: &Row, refund: Option<u64>) -> Self {
        let is_pushed_event = row.event_type != OBSERVED_EVENT_TYPE;
        let delay = row.event_at.map(|at| row.received_at.since(at));
        Self {
            key: row.key.clone(),
            event_type: row.event_type.clone(),
            at: row.event_at,
            refund,
            notification: Some(EventNotification {
                received_at: row.received_at,
                origin: row.origin,
                state: row.state,
                reason: row.reason.clone(),
                late_by: delay.filter(|delay| is_pushed_event && *delay > LATE_AFTER),
            }),
        }
    }

    /// An event whose row has expired.
    fn of_ledger(entry: &LedgerEntry) -> Self {
        let date = entry.event.split('|').nth(1);
        Self {
            key: entry.owner.clone(),
            event_type: entry.event_type().to_owned(),
            at: date.and_then(Timestamp::parse),
            refund: None,
            notification: None,
        }
    }
}

/// The details of the payment in the message of a row.
fn facts(row: &Row) -> PaymentFacts {
    let body = row.body.as_deref();
    let facts = body.and_then(|body| (row.kind.envelope.payment)(&row.event_type, body));
    facts.unwrap_or_default()
}

/// The event types that must have preceded a received event. With an observation nothing is
/// missing, since it has the state of the payment.
fn not_received(events: &[PaymentHistoryEvent]) -> Vec<&'static str> {
    let is_received = |event_type: &str| events.iter().any(|event| event.event_type == event_type);
    if is_received(OBSERVED_EVENT_TYPE) {
        return Vec::new();
    }
    let mut missing = Vec::new();
    if !is_received(SUCCEEDED) && (is_received(CAPTURED) || is_received(REFUNDED)) {
        missing.push(SUCCEEDED);
    }
    if !is_received(CAPTURED) && is_received(REFUNDED) {
        missing.push(CAPTURED);
    }
    missing
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pillarbox::{
        inbox::{MemoryInbox, ReadInbox, ReceiveInbox},
        senders::example::{NOW, pay},
    };

    use super::*;

    async fn row(id: &str, event_type: &str, minutes: u64, refunded: u64) -> Row {
        let at = NOW.plus(Duration::from_secs(minutes * 60));
        let mut entry = pay(id, "p1", event_type, at);
        entry.body = Bytes::from(format!(
            "{{\"resource\":{{\"reference\":\"R-1\",\"amount\":5000,\"refund_summary\":\
             {{\"amount_submitted\":{refunded}}}}}}}"
        ));
        entry.received_at = at;
        let inbox = MemoryInbox::default();
        inbox.record(&entry).await.unwrap();
        Row {
            event_type: event_type.to_owned(),
            ..inbox.get(&entry.key).await.unwrap().unwrap()
        }
    }

    #[tokio::test]
    async fn a_history_is_in_the_order_of_the_sender_and_has_the_amount_of_each_refund() {
        let mut late = row("m4", CAPTURED, 5, 0).await;
        late.received_at = late.event_at.unwrap().plus(Duration::from_secs(3_600));
        let rows = [
            row("m2", REFUNDED, 30, 1_500).await,
            row("m1", REFUNDED, 20, 1_000).await,
            late,
        ];
        let entry = LedgerEntry {
            event: format!("{SUCCEEDED}|{NOW}"),
            owner: Key::parse("pay:m3").unwrap(),
        };
        let history = PaymentHistory::new("pay", "p1", &rows, &[entry]);
        let events = history.events.iter().map(|event| {
            let notification = event.notification.as_ref();
            let late = notification
                .and_then(|one| one.late_by)
                .map(|late| late.as_secs());
            (event.key.encoded_id(), event.refund, late)
        });
        let expected = [
            ("m3", None, None),
            ("m4", None, Some(3_600)),
            ("m1", Some(1_000), None),
            ("m2", Some(500), None),
        ];
        assert_eq!(events.collect::<Vec<_>>(), expected);
        assert!(
            history.events[0].notification.is_none(),
            "its row has expired"
        );
        assert_eq!(history.facts.reference.as_deref(), Some("R-1"));
        assert_eq!(history.not_received, [""; 0]);
    }

    #[tokio::test]
    async fn an_event_that_must_precede_a_received_one_is_reported_as_not_received() {
        for (received, expected) in [
            (&[SUCCEEDED][..], &[][..]),
            (&[CAPTURED], &[SUCCEEDED]),
            (&[REFUNDED], &[SUCCEEDED, CAPTURED]),
            (&[REFUNDED, OBSERVED_EVENT_TYPE], &[]),
        ] {
            let mut rows = Vec::new();
            for (nth, event_type) in received.iter().enumerate() {
                rows.push(row(&format!("m{nth}"), event_type, 0, 0).await);
            }
            let history = PaymentHistory::new("pay", "p1", &rows, &[]);
            assert_eq!(history.not_received, expected, "{received:?}");
        }
    }
}
