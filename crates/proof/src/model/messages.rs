//! The messages of the model: a payment event under two ids, a notification of HMRC that is pushed
//! and can be pulled, and other content under the first id.

use pillarbox::{
    destinations::Event,
    domain::{Key, Timestamp},
    inbox::{MemoryInbox, ReceiveInbox, RecordOutcome, Row},
    senders::EventName,
};
use sender_simulator::{
    MessageBody, Sender,
    apis::{
        pay_api::{PaymentLifecycle, SimulatedPayment},
        ppns::BoxNotification,
    },
    hmrc::{HmrcMessage, SAMPLE_BOX},
    signature,
};

use super::{
    routine::{ModelRoutine, RoutineStep, run},
    script::{ReplyScript, ScriptedCall, digest_of_event},
};
use crate::simulate::{
    process::sender_time,
    receivers::{SimulatedRequest, secret_of},
    simulation::BEGINNING,
    table::resolve_now,
};

/// The time of the model.
pub(super) const BEGIN: Timestamp = Timestamp::from_millis(BEGINNING);

/// The indices of the messages.
pub(super) const PAY: usize = 0;
pub(super) const TWIN: usize = 1;
pub(super) const HMRC: usize = 2;
pub(super) const CONFLICT: usize = 3;
pub(super) const MESSAGES: usize = 4;

/// The requests of the senders, and all rows that can result from them.
pub(super) struct ModelMessages {
    pub(super) requests: Vec<SimulatedRequest>,
    pub(super) boxed: BoxNotification,
    /// The content digest of each message.
    pub(super) contents: Vec<[u8; 32]>,
    /// Every key that a row can have.
    pub(super) keys: Vec<Key>,
    /// Every row in its initial state.
    pub(super) rows: Vec<Row>,
    /// The index in `events` of each row's event.
    pub(super) row_events: Vec<Option<usize>>,
    /// The digest of the event that the destination receives for each row.
    pub(super) row_digests: Vec<[u8; 32]>,
    /// Every event of the ledger.
    pub(super) events: Vec<EventName>,
}

impl ModelMessages {
    pub(super) fn new() -> Self {
        let clock = ReplyScript::new(BEGIN, 0, []);
        let payment =
            SimulatedPayment::new(PaymentLifecycle::Captured, sender_time(BEGIN), &*clock);
        let mut webhooks = payment
            .webhooks(&*clock)
            .into_iter()
            .map(|webhook| webhook.body);
        let pay = webhooks.next().expect("a payment has events");
        let other = webhooks.next().expect("a payment has events");
        let twin = with_message_id(&pay, &"7".repeat(26));
        let conflict = with_message_id(&other, &pay.id);
        let message = HmrcMessage::named("json", &*clock).expect("the name is known");
        let boxed = BoxNotification::new(SAMPLE_BOX, message, &*clock).created(sender_time(BEGIN));
        let requests = vec![
            request(Sender::GovukPay, &pay),
            request(Sender::GovukPay, &twin),
            request(Sender::Hmrc, &boxed.body()),
            request(Sender::GovukPay, &conflict),
        ];
        let mut messages = Self {
            requests,
            boxed,
            contents: Vec::new(),
            keys: Vec::new(),
            rows: Vec::new(),
            row_events: Vec::new(),
            row_digests: Vec::new(),
            events: Vec::new(),
        };
        messages.read_rows();
        messages
    }

    /// Parses every message with the product, and stores each under every key that it can have.
    fn read_rows(&mut self) {
        let entry = |messages: &Self, routine| match run(messages, routine, &[]) {
            RoutineStep::Calls(call) => match *call {
                ScriptedCall::Record(entry) => entry,
                other => panic!("a message is recorded first: {other:?}"),
            },
            step => panic!("a message is recorded first: {step:?}"),
        };
        let pushed: Vec<_> = (0..MESSAGES)
            .map(|message| entry(self, ModelRoutine::Receive { message, at: BEGIN }))
            .collect();
        let pulled = entry(self, ModelRoutine::Pull { at: BEGIN });
        self.contents = pushed.iter().map(|entry| entry.content_digest).collect();
        let (pay, conflict) = (&pushed[PAY], &pushed[CONFLICT]);
        for entries in [
            [pay, conflict],
            [conflict, pay],
            [&pushed[TWIN], &pushed[HMRC]],
            [&pulled, &pulled],
        ] {
            let inbox = MemoryInbox::default();
            for entry in entries {
                let recorded: RecordOutcome =
                    resolve_now(inbox.record(entry)).expect("the model table stores it");
                drop(recorded);
            }
            self.rows.extend(inbox.rows());
        }
        for row in &self.rows {
            if !self.keys.contains(&row.key) {
                self.keys.push(row.key.clone());
            }
            let event = row.event();
            if let Some(event) = event.clone().filter(|event| !self.events.contains(event)) {
                self.events.push(event);
            }
            let number = self
                .events
                .iter()
                .position(|known| Some(known) == event.as_ref());
            self.row_events.push(number);
            let event = Event::of(row).expect("a new row is whole");
            self.row_digests.push(digest_of_event(&event));
        }
    }

    /// The index of a key.
    pub(super) fn slot(&self, key: &Key) -> Option<usize> {
        self.keys.iter().position(|known| known == key)
    }

    /// The index of the initial row with these bytes.
    pub(super) fn variant(&self, row: &Row) -> Option<usize> {
        self.rows.iter().position(|known| {
            (&known.key, known.digest, known.origin) == (&row.key, row.digest, row.origin)
        })
    }
}

/// The same text under another id.
fn with_message_id(body: &MessageBody, id: &str) -> MessageBody {
    let text = body.wire.replace(&body.id, id);
    MessageBody {
        id: id.to_owned(),
        signed: text.clone(),
        wire: text,
    }
}

fn request(sender: Sender, body: &MessageBody) -> SimulatedRequest {
    SimulatedRequest {
        sender,
        signatures: vec![signature::sign(
            sender,
            &secret_of(sender, 0),
            body.signed.as_bytes(),
        )],
        body: bytes::Bytes::copy_from_slice(body.wire.as_bytes()),
    }
}
