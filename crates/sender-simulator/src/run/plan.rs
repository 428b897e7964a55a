//! What a run consists of.

use std::time::Duration;

use url::Url;

use super::{Chaos, capture::Capture};
use crate::{Sender, Timestamp};

/// One sender's run against one URL. The same plan sends the same bytes, but for what the receiver's
/// answers and the order of their coming change.
///
/// It holds secrets, so it can't be printed.
pub struct Plan {
    /// Who is played.
    pub sender: Sender,
    /// The callback URL.
    pub url: Url,
    /// What everything is signed with.
    pub secret: String,
    /// What everything is signed with after half of the notifications have begun.
    pub rotate_to: Option<String>,
    /// How many notifications happen.
    pub count: u64,
    /// How many of them HMRC had kept before the callback URL was saved.
    pub backlog: u64,
    /// What chance is drawn from.
    pub seed: u64,
    /// When the story begins; its events happen within the 48 hours after it.
    pub start: Timestamp,
    /// What goes wrong.
    pub chaos: Chaos,
    /// How many requests the sender has under way at once.
    pub threads: usize,
    /// How much faster than ours the sender's clock runs.
    pub time_scale: u32,
    /// When the run ends, come what may; in our time.
    pub limit: Duration,
    /// Requests of an earlier run, posted again as they were.
    pub replay: Vec<Capture>,
    /// Whether the summary names every notification, so that it can be held against an inbox.
    pub remembers: bool,
}

/// The two days that every event has behind it when a run begins on its own date.
const BEHIND: i64 = 2;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Plan {
    /// A calm run of 100 notifications within 10 minutes.
    pub fn new(sender: Sender, url: Url, secret: String, seed: u64, now: Timestamp) -> Self {
        Self {
            sender,
            url,
            secret,
            rotate_to: None,
            count: 100,
            backlog: 0,
            seed,
            start: start_of_story(now),
            chaos: Chaos::default(),
            threads: threads(sender),
            time_scale: 1,
            limit: Duration::from_secs(10 * 60),
            replay: Vec::new(),
            remembers: false,
        }
    }
}

/// The midnight two days before today's, UTC: a seed sends the same bytes all day long.
pub fn start_of_story(now: Timestamp) -> Timestamp {
    let today = now.as_millis().div_euclid(DAY_MS);
    Timestamp::from_millis((today - BEHIND) * DAY_MS)
}

/// How many requests a sender has under way at once. One instance of Pay has 20 threads; HMRC knows
/// no limit for first pushes, so this one is ours.
fn threads(sender: Sender) -> usize {
    match sender {
        Sender::GovukPay => 20,
        Sender::Hmrc => 50,
    }
}
