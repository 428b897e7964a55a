//! What the answers of a whole run have in common: headers that must never come, and the time they take.

use std::{collections::BTreeSet, time::Duration};

use super::{super::ExchangeError, reply::Reply, report::plain};

/// Statuses that say something to an HTTP client that no receiver of notifications means.
const ODD: [u16; 3] = [410, 422, 429];

/// Gathered over every POST to the receiver's own URL.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How long the slowest true notification waited for its answer.
    pub(super) slowest: Option<Duration>,
    /// Whether one waited in vain.
    pub(super) timed_out: bool,
    /// Whether one, true or not, was redirected.
    pub(super) redirected: bool,
    /// How many answers there were to look at.
    pub(super) answers: usize,
    /// The names of the cookies that were set.
    pub(super) cookies: BTreeSet<String>,
    /// The refusals that asked for a pause, with what they asked for.
    pub(super) pauses: BTreeSet<(u16, String)>,
    /// Which of [`ODD`] came.
    pub(super) odd: BTreeSet<u16>,
}

impl Tally {
    /// Counts the time of a true notification.
    pub(super) fn time(&mut self, reply: &Reply) {
        match &reply.answer {
            Ok(_) => self.slowest = self.slowest.max(Some(reply.took)),
            Err(ExchangeError::TimedOut) => self.timed_out = true,
            Err(_) => {}
        }
    }

    /// Looks at the headers of an answer.
    pub(super) fn headers(&mut self, reply: &Reply) {
        let Ok(answer) = &reply.answer else { return };
        self.answers += 1;
        self.redirected |= (300..400).contains(&answer.status);
        let cookies = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        let name = |cookie: &str| {
            plain(
                cookie.split(['=', ';']).next().unwrap_or_default().trim(),
                40,
            )
        };
        self.cookies.extend(cookies.map(|(_, cookie)| name(cookie)));
        if let (400.., Some(pause)) = (answer.status, answer.header("retry-after")) {
            self.pauses.insert((answer.status, plain(pause, 40)));
        }
        if ODD.contains(&answer.status) {
            self.odd.insert(answer.status);
        }
    }
}
