//! Sends one request to the receiver, directly or through a front of the Lambda, and compares the
//! outcome with that of the second implementation.

/// AWS's fronts, simulated independently of the code that parses their events.
#[allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "the tests' own simulation of the fronts"
)]
#[path = "../../../tests/support/fronts.rs"]
pub mod fronts;

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use pillarbox::{
    lambda::answer_event,
    receive::{HttpAnswer, HttpRequest, Receiver, Refusal, answer},
    telemetry::RequestRecord,
};
use serde_json::value::RawValue;
use tokio::runtime::{Builder, Runtime};

use crate::{
    receiver_under_test::{CountingInbox, NOW, SOURCES, StoredNotification, receiver},
    second_verifier::{ExpectedAnswer, PlainRequest, judge},
};
use fronts::{FrontRequest, LambdaFront};

/// How a request arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPoint {
    /// Directly at the receiver.
    Direct,
    /// As the event of a front.
    LambdaFront(LambdaFront),
}

/// The outcome of a request.
#[derive(Debug)]
pub struct AttackOutcome {
    /// The answer that the second implementation requires.
    pub expected: ExpectedAnswer,
    /// The answer.
    pub answer: HttpAnswer,
    /// The number of calls that store a notification in the inbox.
    pub calls: u64,
    /// The number of probes of the inbox. Only a monitor may cause one.
    pub probes: u64,
    /// The last notification passed to the inbox.
    pub stored: Option<StoredNotification>,
}

/// A receiver with its inbox.
pub struct AttackedReceiver {
    inbox: Arc<CountingInbox>,
    receiver: Receiver<CountingInbox>,
    runtime: Runtime,
}

impl EntryPoint {
    /// The name in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::LambdaFront(front) => front.as_str(),
        }
    }

    /// Whether this request can arrive in this way: an event contains only text and a valid query,
    /// and the paths of a REST API have one segment.
    pub fn carries(self, request: &PlainRequest) -> bool {
        let mut values = request.headers.iter().map(|(_, value)| value);
        let is_text = values.all(|value| std::str::from_utf8(value).is_ok());
        let is_one_segment = request.path.rfind('/') == Some(0);
        match self {
            Self::Direct => true,
            Self::LambdaFront(LambdaFront::Rest) => is_text && is_one_segment,
            Self::LambdaFront(_) => is_text && request.query.bytes().all(is_in_query),
        }
    }

    /// Whether the adapter of a front must refuse the request: a header contains a control
    /// character.
    fn must_refuse(self, request: &PlainRequest) -> bool {
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        let mut headers = request.headers.iter();
        self != Self::Direct && headers.any(|(_, value)| value.iter().any(is_control))
    }
}

/// Whether the byte is allowed in the query of a URL.
fn is_in_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte)
}

impl Default for AttackedReceiver {
    fn default() -> Self {
        let inbox = Arc::new(CountingInbox::default());
        Self {
            receiver: receiver(Arc::clone(&inbox)),
            inbox,
            runtime: Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime of one thread needs nothing"),
        }
    }
}

impl AttackedReceiver {
    /// Sends a request and returns its outcome.
    pub fn attack(&self, request: &PlainRequest, entry_point: EntryPoint) -> AttackOutcome {
        let before = (self.inbox.calls(), self.inbox.probes());
        let expected = match entry_point.must_refuse(request) {
            true => ExpectedAnswer::Refused(400),
            false => judge(&SOURCES, request),
        };
        let answer = match entry_point {
            EntryPoint::Direct => self.runtime.block_on(self.receive(request)),
            EntryPoint::LambdaFront(front) => self
                .answer_event(&event(front, request))
                .expect("a front's event is recognised"),
        };
        self.outcome_since(before, expected, answer)
    }

    /// Passes any event to the receiver; `None` if it is not an event of a front.
    pub fn attack_with_event(&self, event: &RawValue) -> Option<AttackOutcome> {
        let before = (self.inbox.calls(), self.inbox.probes());
        let answer = self.answer_event(event)?;
        let expected = ExpectedAnswer::Refused(answer.status);
        Some(self.outcome_since(before, expected, answer))
    }

    fn outcome_since(
        &self,
        (calls, probes): (u64, u64),
        expected: ExpectedAnswer,
        answer: HttpAnswer,
    ) -> AttackOutcome {
        AttackOutcome {
            expected,
            answer,
            calls: self.inbox.calls() - calls,
            probes: self.inbox.probes() - probes,
            stored: self.inbox.take_last(),
        }
    }

    async fn receive(&self, request: &PlainRequest) -> HttpAnswer {
        let mut record = RequestRecord::default();
        let mut parsed = ParsedRequest(request);
        let result = self.receiver.handle(&mut parsed, &mut record).await;
        answer(&result, &mut record)
    }

    fn answer_event(&self, event: &RawValue) -> Option<HttpAnswer> {
        let stopped_at = NOW.plus(Duration::from_secs(10));
        let answer = answer_event(&self.receiver, event, stopped_at);
        self.runtime.block_on(answer)
    }
}

/// The event that `front` sends for a request.
pub fn event(front: LambdaFront, request: &PlainRequest) -> Box<RawValue> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = request.headers.iter();
    let front_request = FrontRequest {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: headers
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        body: request.body.to_vec(),
        is_base64: false,
    };
    let event = front.invocation(&front_request, NOW).to_string();
    RawValue::from_string(event).expect("a front writes JSON")
}

impl AttackOutcome {
    /// Whether an unproven notification was stored.
    pub fn is_forgery_accepted(&self) -> bool {
        let is_stored = self.calls > 0 || self.answer.body.contains(r#""status""#);
        is_stored && !matches!(self.expected, ExpectedAnswer::Proven(_))
    }

    /// Compares the outcome with that of the second implementation.
    pub fn check(&self, request: &PlainRequest, entry_point: EntryPoint) -> Result<(), String> {
        let status = self.answer.status;
        let problem = match &self.expected {
            ExpectedAnswer::Proven(_) if status != 200 || self.calls != 1 => "not stored once",
            ExpectedAnswer::Proven(source) if !self.is_stored_as(request, source) => {
                "stored with other bytes, under another source or without its signature"
            }
            ExpectedAnswer::Challenge(_) | ExpectedAnswer::Monitor | ExpectedAnswer::Refused(_)
                if self.calls > 0 =>
            {
                "the inbox was called"
            }
            ExpectedAnswer::Proven(_)
            | ExpectedAnswer::Challenge(_)
            | ExpectedAnswer::Refused(_)
                if self.probes > 0 =>
            {
                "the inbox was probed"
            }
            ExpectedAnswer::Challenge(value)
                if status != 200 || self.answer.body != challenge_answer(value) =>
            {
                "the challenge was not returned"
            }
            ExpectedAnswer::Monitor if status != 200 => "a monitor did not get 200",
            // The checks of a front's adapter come first, and may have another status.
            ExpectedAnswer::Refused(_)
                if entry_point != EntryPoint::Direct && (400..600).contains(&status) =>
            {
                return Ok(());
            }
            ExpectedAnswer::Refused(expected) if status != *expected => "another status",
            _ => return Ok(()),
        };
        Err(format!(
            "{problem}: expected {:?}, got {status} {} after {} calls of the inbox",
            self.expected, self.answer.body, self.calls
        ))
    }

    fn is_stored_as(&self, request: &PlainRequest, source: &str) -> bool {
        self.stored.as_ref().is_some_and(|stored| {
            stored.body == request.body && stored.source == source && stored.signature.is_some()
        })
    }
}

fn challenge_answer(value: &str) -> String {
    format!(r#"{{"challenge":"{value}"}}"#)
}

struct ParsedRequest<'a>(&'a PlainRequest);

impl HttpRequest for ParsedRequest<'_> {
    fn method(&self) -> &str {
        &self.0.method
    }

    fn path(&self) -> &str {
        &self.0.path
    }

    fn query(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.query)
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let headers = self.0.headers.iter();
        let named = headers.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice()).collect()
    }

    async fn body(&mut self) -> Result<Bytes, Refusal> {
        Ok(self.0.body.clone())
    }
}
