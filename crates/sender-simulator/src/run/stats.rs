//! The statistics of a run: counts, times, and faults of the receiver.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::{DeliveryOutcome, MessageKind, SettledMessage};
use crate::ExchangeOutcome;

/// Something that a receiver must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverFault {
    /// The stable name of this fault, in kebab case.
    pub name: &'static str,
    /// The id of the message.
    pub id: String,
    /// A description of the fault, and how to fix it.
    pub sentence: String,
}

impl ReceiverFault {
    pub(super) fn new(name: &'static str, id: &str, sentence: impl Into<String>) -> Self {
        Self {
            name,
            id: id.to_owned(),
            sentence: sentence.into(),
        }
    }
}

/// The number of faults that are kept under each name. Further ones are only counted.
const MAX_KEPT_FAULTS: u64 = 100;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnding {
    /// Every message is settled.
    Complete,
    /// The time limit passed.
    OutOfTime,
    /// The caller stopped it.
    Stopped,
}

/// A settled message, kept for comparison with an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// The sender's id.
    pub id: String,
    /// The kind of message.
    pub kind: MessageKind,
    /// The outcome that the sender recorded.
    pub outcome: DeliveryOutcome,
}

/// The statistics while a run is in progress.
#[derive(Debug)]
pub(super) struct RunStats {
    keep_sent: bool,
    open: HashMap<(String, MessageKind), u32>,
    pub(super) summary: RunSummary,
}

/// The result of a run.
#[derive(Debug)]
pub struct RunSummary {
    /// How it ended.
    pub ending: RunEnding,
    /// The real time that it took.
    pub took: Duration,
    /// The number of settled messages, by kind and outcome.
    pub settled: BTreeMap<(&'static str, &'static str), u64>,
    /// The number of messages that were not settled at the end.
    pub undecided: u64,
    /// The number of requests that were sent.
    pub requests: u64,
    /// The number of these that were a later attempt in the sender's schedule.
    pub retries: u64,
    /// The number of these that the sender's client repeated within an attempt.
    pub reposts: u64,
    /// The number of requests that were disconnected early, as an injected fault.
    pub abandoned: u64,
    /// The number of notifications that were never sent, as an injected fault.
    pub lost: u64,
    /// The number of requests by outcome: a status, or the reason why there is none.
    pub outcomes: BTreeMap<String, u64>,
    /// The response times, in microseconds.
    pub response_times: Histogram<u64>,
    /// Faults of the receiver, at most 100 under each name.
    pub faults: Vec<ReceiverFault>,
    /// The number of faults under each name.
    pub faults_by_name: BTreeMap<&'static str, u64>,
    /// Every settled message, if the plan has `keep_sent`.
    pub sent: Vec<SentMessage>,
}

impl RunSummary {
    fn empty() -> Self {
        let response_times = Histogram::new_with_bounds(1, 120_000_000, 3);
        Self {
            ending: RunEnding::Complete,
            took: Duration::ZERO,
            settled: BTreeMap::new(),
            undecided: 0,
            requests: 0,
            retries: 0,
            reposts: 0,
            abandoned: 0,
            lost: 0,
            outcomes: BTreeMap::new(),
            response_times: response_times.expect("these bounds are valid"),
            faults: Vec::new(),
            faults_by_name: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    /// Adds faults that were found after the run.
    pub fn add_faults(&mut self, faults: impl IntoIterator<Item = ReceiverFault>) {
        faults.into_iter().for_each(|fault| self.add_fault(fault));
    }

    fn add_fault(&mut self, fault: ReceiverFault) {
        let count = self.faults_by_name.entry(fault.name).or_default();
        *count += 1;
        if *count <= MAX_KEPT_FAULTS {
            self.faults.push(fault);
        }
    }

    /// The number of genuine messages with this outcome.
    pub fn count_genuine(&self, outcome: DeliveryOutcome) -> u64 {
        let genuine = [MessageKind::Notification, MessageKind::SecondId];
        let count = |kind: &MessageKind| self.settled.get(&(kind.as_str(), outcome.as_str()));
        genuine.iter().filter_map(count).sum()
    }
}

impl RunStats {
    pub(super) fn new(keep_sent: bool) -> Self {
        Self {
            keep_sent,
            open: HashMap::new(),
            summary: RunSummary::empty(),
        }
    }

    /// Counts a message that begins.
    pub(super) fn begin(&mut self, id: &str, kind: MessageKind) {
        *self.open.entry((id.to_owned(), kind)).or_default() += 1;
    }

    /// Counts a request that ended.
    pub(super) fn count_exchange(
        &mut self,
        kind: MessageKind,
        outcome: ExchangeOutcome,
        took: Duration,
    ) {
        let summary = &mut self.summary;
        summary.requests += 1;
        *summary.outcomes.entry(outcome_label(outcome)).or_default() += 1;
        let responded = matches!(outcome, ExchangeOutcome::Answered { .. });
        if responded && kind != MessageKind::Challenge {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            summary.response_times.saturating_record(micros);
        }
    }

    pub(super) fn refuse_challenge(&mut self, challenge: &str) {
        let sentence = "HMRC refuses this callback URL and sends nothing: answer its GET with 200 \
                        and {\"challenge\":\"…\"}, with the value that it sent.";
        self.summary
            .add_fault(ReceiverFault::new("challenge-refused", challenge, sentence));
    }

    pub(super) fn accept_redirected_challenge(&mut self, challenge: &str) {
        let sentence = "HMRC follows the redirect of its challenge and accepts this URL; then \
                        every push is redirected too, as a GET without a body, and lost if that \
                        is answered 200: register the URL that the redirect leads to.";
        let fault = ReceiverFault::new("challenge-redirected", challenge, sentence);
        self.summary.add_fault(fault);
    }

    pub(super) fn lose_challenge(&mut self, challenge: &str) {
        let sentence = "the challenge is redirected to another host, where HMRC would follow and \
                        this simulation sends nothing: register the URL that the redirect leads \
                        to.";
        let fault = ReceiverFault::new("challenge-redirected", challenge, sentence);
        self.summary.add_fault(fault);
    }

    /// Counts a settled message.
    pub(super) fn settle(&mut self, settled: SettledMessage) {
        let fault = fault_of(&settled);
        let SettledMessage {
            id, kind, outcome, ..
        } = settled;
        *self
            .summary
            .settled
            .entry((kind.as_str(), outcome.as_str()))
            .or_default() += 1;
        self.summary.add_faults(fault);
        if self.keep_sent {
            self.summary.sent.push(SentMessage {
                id: id.clone(),
                kind,
                outcome,
            });
        }
        if let Some(open) = self.open.get_mut(&(id.clone(), kind)) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&(id, kind));
            }
        }
    }

    pub(super) fn into_summary(self, ending: RunEnding, took: Duration) -> RunSummary {
        let Self {
            open, mut summary, ..
        } = self;
        summary.undecided = open.values().map(|&copies| u64::from(copies)).sum();
        let open = open.into_keys().filter(|(_, kind)| kind.is_genuine());
        let mut open: Vec<String> = open.map(|(id, _)| id).collect();
        open.sort();
        let sentence = "the run ended before the sender settled this message: raise --time-scale \
                        or --limit.";
        summary.add_faults(
            open.iter()
                .map(|id| ReceiverFault::new("undecided", id, sentence)),
        );
        RunSummary {
            ending,
            took,
            ..summary
        }
    }
}

fn fault_of(settled: &SettledMessage) -> Option<ReceiverFault> {
    let SettledMessage {
        id,
        kind,
        outcome,
        last_exchange,
        attempts,
        ..
    } = settled;
    let last = outcome_label(*last_exchange);
    let (name, sentence) = match outcome {
        DeliveryOutcome::Failed => (
            "given-up",
            format!("given up after {attempts} attempts; last outcome: {last}."),
        ),
        DeliveryOutcome::LostByRedirect => (
            "lost-by-redirect",
            "a redirect was followed, so the sender counts it as delivered, but the \
             receiver does not have it: never redirect a callback."
                .to_owned(),
        ),
        DeliveryOutcome::Acknowledged if kind.is_hostile() => (
            "forgery-accepted",
            format!(
                "{} and answered with {last}: verify the raw bytes first.",
                kind.as_str()
            ),
        ),
        DeliveryOutcome::Acknowledged | DeliveryOutcome::Refused => return None,
    };
    Some(ReceiverFault::new(name, id, sentence))
}

/// A short label of an outcome, such as `503` or `timed out`.
pub fn outcome_label(outcome: ExchangeOutcome) -> String {
    match outcome {
        ExchangeOutcome::Answered {
            status,
            unknown_encoding: true,
            ..
        } => format!("{status} in an unknown encoding"),
        ExchangeOutcome::Answered { status, .. } => status.to_string(),
        ExchangeOutcome::Unreachable => "unreachable".to_owned(),
        ExchangeOutcome::Closed => "closed".to_owned(),
        ExchangeOutcome::Reset => "reset".to_owned(),
        ExchangeOutcome::BodyCutShort => "body cut short".to_owned(),
        ExchangeOutcome::TooManyRedirects => "too many redirects".to_owned(),
        ExchangeOutcome::TimedOut => "timed out".to_owned(),
        ExchangeOutcome::Garbled => "garbled".to_owned(),
    }
}
