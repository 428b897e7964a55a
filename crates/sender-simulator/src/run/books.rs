//! What a run has come to: counts, times, and whatever a receiver must not do.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::{Fate, Settled, What};
use crate::Outcome;

/// Something a receiver must not do, with a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its name, in one word with dashes.
    pub name: &'static str,
    /// The id of the message it befell.
    pub id: String,
    /// What happened, and what to do.
    pub sentence: String,
}

/// How many faults are kept of each name; further ones are only counted.
const KEPT_FAULTS: u64 = 100;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every message is settled.
    Complete,
    /// Its time was up.
    OutOfTime,
    /// Somebody stopped it.
    Stopped,
}

/// A message that is settled, kept so that it can be held against an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The sender's id.
    pub id: String,
    /// What it was to the receiver.
    pub what: What,
    /// What the sender believes.
    pub fate: Fate,
}

/// What a run keeps while it goes on.
#[derive(Debug)]
pub(super) struct Books {
    remembers: bool,
    sent: Vec<Sent>,
    open: HashMap<(String, What), u32>,
    settled: BTreeMap<(&'static str, &'static str), u64>,
    outcomes: BTreeMap<String, u64>,
    requests: u64,
    pub(super) retries: u64,
    pub(super) reposts: u64,
    pub(super) abandoned: u64,
    pub(super) lost: u64,
    took: Histogram<u64>,
    faults: Vec<Fault>,
    faults_by_name: BTreeMap<&'static str, u64>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// How long it took, in our time.
    pub took: Duration,
    /// How many messages are settled, by what they were and what became of them.
    pub settled: BTreeMap<(&'static str, &'static str), u64>,
    /// How many were not settled when it ended.
    pub undecided: u64,
    /// How many requests went out.
    pub requests: u64,
    /// How many of them were a later attempt of the sender's timetable.
    pub retries: u64,
    /// How many of them were sent again at once by the sender's client.
    pub reposts: u64,
    /// How many requests were given up in the middle, by request.
    pub abandoned: u64,
    /// How many notifications were never sent, by request.
    pub lost: u64,
    /// How many requests came to what: a status, or the reason why there is none.
    pub outcomes: BTreeMap<String, u64>,
    /// How long answers took, in microseconds.
    pub answered: Histogram<u64>,
    /// What the receiver must not do, at most 100 of each name.
    pub faults: Vec<Fault>,
    /// How many there are of each name.
    pub faults_by_name: BTreeMap<&'static str, u64>,
    /// Every settled message, if the plan asked for that.
    pub sent: Vec<Sent>,
}

impl Summary {
    /// Adds what was found afterwards.
    pub fn find(&mut self, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            note(&mut self.faults, &mut self.faults_by_name, fault);
        }
    }

    /// How many messages of the sender's own became this.
    pub fn genuine(&self, fate: Fate) -> u64 {
        let own = [What::Notification, What::SecondId];
        own.iter()
            .filter_map(|what| self.settled.get(&(what.as_str(), fate.as_str())))
            .sum()
    }
}

impl Books {
    pub(super) fn new(remembers: bool) -> Self {
        Self {
            remembers,
            sent: Vec::new(),
            open: HashMap::new(),
            settled: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            requests: 0,
            retries: 0,
            reposts: 0,
            abandoned: 0,
            lost: 0,
            took: Histogram::new_with_bounds(1, 120_000_000, 3).expect("these bounds are valid"),
            faults: Vec::new(),
            faults_by_name: BTreeMap::new(),
        }
    }

    /// A message is on its way.
    pub(super) fn begin(&mut self, id: &str, what: What) {
        *self.open.entry((id.to_owned(), what)).or_default() += 1;
    }

    /// One request is over.
    pub(super) fn exchanged(&mut self, what: What, outcome: Outcome, took: Duration) {
        self.requests += 1;
        *self.outcomes.entry(word(outcome)).or_default() += 1;
        if matches!(outcome, Outcome::Answered { .. }) && what != What::Challenge {
            self.took
                .saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn challenged(&mut self, challenge: &str, echoed: bool) {
        if !echoed {
            let sentence = "HMRC refuses this callback URL and sends nothing: answer its GET with 200 and \
                            {\"challenge\":\"…\"}, the value it sent.";
            self.fault("challenge-refused", challenge, sentence.to_owned());
        }
    }

    /// A message is settled.
    pub(super) fn close(&mut self, settled: Settled) {
        let Settled {
            id,
            what,
            fate,
            last,
            attempts,
            ..
        } = settled;
        *self
            .settled
            .entry((what.as_str(), fate.as_str()))
            .or_default() += 1;
        match fate {
            Fate::Failed => {
                let sentence = format!(
                    "given up after {attempts} attempts; the last came to: {}.",
                    word(last)
                );
                self.fault("given-up", &id, sentence);
            }
            Fate::LostByRedirect => {
                let sentence = "a redirect was followed, the sender believes it was taken, and nobody has it: \
                                answer callbacks yourself, never with a redirect.";
                self.fault("lost-by-redirect", &id, sentence.to_owned());
            }
            Fate::Acknowledged if what.is_hostile() => {
                let sentence = format!(
                    "{} and answered with {}: verify the raw bytes first.",
                    what.as_str(),
                    word(last)
                );
                self.fault("forgery-accepted", &id, sentence);
            }
            Fate::Acknowledged | Fate::Refused => {}
        }
        if self.remembers {
            self.sent.push(Sent {
                id: id.clone(),
                what,
                fate,
            });
        }
        if let Some(open) = self.open.get_mut(&(id.clone(), what)) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&(id, what));
            }
        }
    }

    pub(super) fn close_with(mut self, ending: Ending, took: Duration) -> Summary {
        let open = std::mem::take(&mut self.open);
        let undecided = open.values().map(|&copies| u64::from(copies)).sum();
        let mut open: Vec<(String, What)> = open
            .into_keys()
            .filter(|(_, what)| what.is_genuine())
            .collect();
        open.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (id, _) in open {
            let sentence = "the run ended before its sender was done with it: a larger --time-scale or --limit shows its end.";
            self.fault("undecided", &id, sentence.to_owned());
        }
        Summary {
            ending,
            took,
            settled: self.settled,
            undecided,
            requests: self.requests,
            retries: self.retries,
            reposts: self.reposts,
            abandoned: self.abandoned,
            lost: self.lost,
            outcomes: self.outcomes,
            answered: self.took,
            faults: self.faults,
            faults_by_name: self.faults_by_name,
            sent: self.sent,
        }
    }

    fn fault(&mut self, name: &'static str, id: &str, sentence: String) {
        note(
            &mut self.faults,
            &mut self.faults_by_name,
            Fault {
                name,
                id: id.to_owned(),
                sentence,
            },
        );
    }
}

fn note(kept: &mut Vec<Fault>, by_name: &mut BTreeMap<&'static str, u64>, fault: Fault) {
    let count = by_name.entry(fault.name).or_default();
    *count += 1;
    if *count <= KEPT_FAULTS {
        kept.push(fault);
    }
}

/// An outcome in a word or two, such as `503` or `timed out`.
pub fn word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered { status, .. } => status.to_string(),
        Outcome::Unreachable => "unreachable".to_owned(),
        Outcome::Closed => "closed".to_owned(),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::Garbled => "garbled".to_owned(),
    }
}
