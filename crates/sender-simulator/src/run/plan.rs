//! The plan of a run.

use std::time::Duration;

use url::Url;

use super::{FaultRates, capture::CapturedRequest};
use crate::{Sender, Timestamp};

/// The plan of one sender's run against one URL. The same plan sends the same bytes, except where
/// they depend on the receiver's responses and their timing.
///
/// It contains secrets, so it does not implement `Debug`.
pub struct RunPlan {
    /// The simulated sender.
    pub sender: Sender,
    /// The callback URL.
    pub url: Url,
    /// The secret for signatures.
    pub secret: String,
    /// The secret for signatures after half of the notifications have begun.
    pub rotate_to: Option<String>,
    /// The number of notifications.
    pub count: u64,
    /// The number of these that HMRC stored before the callback URL was saved.
    pub backlog: u64,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The earliest date of an event. All events happen within the next 48 hours.
    pub start: Timestamp,
    /// The faults to inject.
    pub fault_rates: FaultRates,
    /// The number of requests that the sender sends at the same time.
    pub threads: usize,
    /// The factor by which the sender's clock is faster than real time.
    pub time_scale: u32,
    /// The longest real time that the run may take.
    pub limit: Duration,
    /// Requests of an earlier run, sent again unchanged.
    pub replay: Vec<CapturedRequest>,
    /// Whether the summary lists every message, for comparison with an inbox.
    pub keep_sent: bool,
}

/// The days between the start date and today, so that all events are in the past.
const START_DAYS_AGO: i64 = 2;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl RunPlan {
    /// A run of 100 notifications within 10 minutes, without faults.
    pub fn new(sender: Sender, url: Url, secret: String, seed: u64, now: Timestamp) -> Self {
        Self {
            sender,
            url,
            secret,
            rotate_to: None,
            count: 100,
            backlog: 0,
            seed,
            start: default_start(now),
            fault_rates: FaultRates::default(),
            threads: threads(sender),
            time_scale: 1,
            limit: Duration::from_secs(10 * 60),
            replay: Vec::new(),
            keep_sent: false,
        }
    }
}

/// Midnight UTC two days before `now`. A seed sends the same bytes all day.
pub fn default_start(now: Timestamp) -> Timestamp {
    let today = now.as_millis().div_euclid(DAY_MS);
    Timestamp::from_millis((today - START_DAYS_AGO) * DAY_MS)
}

/// The number of requests that a sender sends at the same time. One instance of Pay has 20 threads.
/// HMRC has no limit for first pushes; 50 is this package's choice.
fn threads(sender: Sender) -> usize {
    match sender {
        Sender::GovukPay => 20,
        Sender::Hmrc => 50,
    }
}
