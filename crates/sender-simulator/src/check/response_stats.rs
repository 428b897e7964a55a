//! Statistics over all responses of a run: response times and unwanted headers.

use std::{collections::BTreeSet, time::Duration};

use super::{super::ExchangeError, report::plain, timed_response::TimedResponse};

/// Statuses with a meaning to HTTP clients that no receiver intends.
const ODD_STATUSES: [u16; 3] = [410, 422, 429];

/// Statistics over every POST to the receiver's URL.
#[derive(Debug, Default)]
pub(super) struct ResponseStats {
    /// The longest response time of a genuine notification.
    pub(super) slowest: Option<Duration>,
    /// Whether a genuine notification timed out.
    pub(super) timed_out: bool,
    /// Whether any POST was redirected.
    pub(super) redirected: bool,
    /// The number of responses.
    pub(super) responses: usize,
    /// The names of cookies in responses.
    pub(super) cookies: BTreeSet<String>,
    /// The status and `Retry-After` of refusals.
    pub(super) pauses: BTreeSet<(u16, String)>,
    /// The content encodings that Pay's client cannot decode.
    pub(super) encodings: BTreeSet<String>,
    /// Which of [`ODD_STATUSES`] occurred.
    pub(super) odd: BTreeSet<u16>,
}

impl ResponseStats {
    /// Counts the response time of a genuine notification.
    pub(super) fn count_time(&mut self, reply: &TimedResponse) {
        match &reply.response {
            Ok(_) => self.slowest = self.slowest.max(Some(reply.took)),
            Err(ExchangeError::TimedOut) => self.timed_out = true,
            Err(_) => {}
        }
    }

    /// Counts the status and headers of a response.
    pub(super) fn count_headers(&mut self, reply: &TimedResponse) {
        let Ok(response) = &reply.response else {
            return;
        };
        self.responses += 1;
        self.redirected |= (300..400).contains(&response.status);
        let cookies = response
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
        if let (400.., Some(pause)) = (response.status, response.header("retry-after")) {
            self.pauses.insert((response.status, plain(pause, 40)));
        }
        let encoding = response.unknown_encoding();
        self.encodings.extend(encoding.map(|name| plain(&name, 40)));
        if ODD_STATUSES.contains(&response.status) {
            self.odd.insert(response.status);
        }
    }
}
