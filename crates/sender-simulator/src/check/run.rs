//! The state of one check run: its sender, findings, sent notifications and time limit.

use std::{fmt::Display, time::Duration};

use tokio::time::Instant;
use url::Url;

use super::{
    super::{
        ClientProfile, ExchangeError, MessageBody, ReceiverConnection, Sender, SenderRequest,
        exchange,
    },
    CheckOptions,
    definition::Check,
    report::{CheckFinding, CheckReport, Grade, SentNotification, redacted},
    response_stats::ResponseStats,
    timed_response::TimedResponse,
};
use crate::{Clock, Timestamp};

/// The longest exchange, which is HMRC's limit. Pay limits no whole exchange.
const MAX_EXCHANGE: Duration = Duration::from_secs(20);

/// The reason why a check was not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotTriedError(pub(super) String);

impl NotTriedError {
    pub(super) fn because<T>(why: impl Display) -> Result<T, Self> {
        Err(Self(why.to_string()))
    }
}

/// A grade and the observation that justifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeAssessment {
    pub(super) grade: Grade,
    pub(super) seen: String,
}

impl ProbeAssessment {
    pub(super) fn new(grade: Grade, seen: impl Into<String>) -> Self {
        Self {
            grade,
            seen: seen.into(),
        }
    }
}

/// The result of a probe.
pub(super) type ProbeResult = Result<ProbeAssessment, NotTriedError>;

/// A run of all probes.
pub(super) struct CheckRun<'a> {
    pub(super) url: &'a Url,
    pub(super) sender: Sender,
    pub(super) secret: &'a str,
    pub(super) options: &'a CheckOptions,
    pub(super) clock: &'a dyn Clock,
    /// The usual status of genuine notifications, after one was accepted; before, why there is
    /// none.
    pub(super) usual: Result<u16, NotTriedError>,
    pub(super) stats: ResponseStats,
    began: Instant,
    started_at: Timestamp,
    on_finding: &'a mut dyn FnMut(&CheckFinding),
    findings: Vec<CheckFinding>,
    sent: Vec<SentNotification>,
}

impl<'a> CheckRun<'a> {
    pub(super) fn new(
        (url, sender, secret): (&'a Url, Sender, &'a str),
        options: &'a CheckOptions,
        clock: &'a dyn Clock,
        on_finding: &'a mut dyn FnMut(&CheckFinding),
    ) -> Self {
        Self {
            url,
            sender,
            secret,
            options,
            clock,
            usual: NotTriedError::because("no notification was sent before"),
            stats: ResponseStats::default(),
            began: Instant::now(),
            started_at: clock.now(),
            on_finding,
            findings: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// How the sender's client behaves, within the time limit of an exchange.
    pub(super) fn client_profile(&self) -> ClientProfile {
        let profile = self.sender.client_profile();
        ClientProfile {
            total_timeout: profile.total_timeout.min(MAX_EXCHANGE),
            ..profile
        }
    }

    /// The request that carries `body`, correctly signed.
    pub(super) fn signed(&self, body: &MessageBody) -> SenderRequest {
        self.sender.request(body, self.secret, self.url)
    }

    /// Sends a genuine notification on a new connection. Its response time counts.
    pub(super) async fn deliver(
        &mut self,
        body: &MessageBody,
    ) -> Result<TimedResponse, NotTriedError> {
        let reply = self.post(&self.signed(body)).await?;
        self.stats.count_time(&reply);
        Ok(reply)
    }

    /// Sends it twice at the same time, on two connections.
    pub(super) async fn deliver_twice(
        &mut self,
        body: &MessageBody,
    ) -> Result<[TimedResponse; 2], NotTriedError> {
        self.check_time_limit()?;
        let request = self.signed(body);
        let (one, other) =
            tokio::join!(self.send(&request, self.url), self.send(&request, self.url));
        let replies = [one?, other?];
        for reply in &replies {
            self.record_reply(&request, reply);
            self.stats.count_time(reply);
        }
        Ok(replies)
    }

    /// Sends a POST to the receiver's URL.
    pub(super) async fn post(
        &mut self,
        request: &SenderRequest,
    ) -> Result<TimedResponse, NotTriedError> {
        let reply = self.send(request, self.url).await?;
        self.record_reply(request, &reply);
        Ok(reply)
    }

    /// Sends a POST to another URL.
    pub(super) async fn post_to(
        &mut self,
        request: &SenderRequest,
        url: &Url,
    ) -> Result<TimedResponse, NotTriedError> {
        let reply = self.send(request, url).await?;
        self.record_sent(&request.id, reply.status());
        Ok(reply)
    }

    /// Sends a genuine notification on an open connection.
    pub(super) async fn deliver_on(
        &mut self,
        connection: &mut ReceiverConnection,
        body: &MessageBody,
    ) -> Result<TimedResponse, NotTriedError> {
        self.check_time_limit()?;
        let (request, began) = (self.signed(body), Instant::now());
        let reply = TimedResponse {
            response: connection.send(&request).await,
            took: began.elapsed(),
        };
        self.record_reply(&request, &reply);
        self.stats.count_time(&reply);
        Ok(reply)
    }

    /// Opens a connection like the sender.
    pub(super) async fn connect(
        &self,
    ) -> Result<Result<ReceiverConnection, ExchangeError>, NotTriedError> {
        self.check_time_limit()?;
        Ok(ReceiverConnection::open(self.url, self.client_profile()).await)
    }

    /// Sends a request without recording its id.
    pub(super) async fn send(
        &self,
        request: &SenderRequest,
        url: &Url,
    ) -> Result<TimedResponse, NotTriedError> {
        self.check_time_limit()?;
        let began = Instant::now();
        let response = exchange(request, url, self.client_profile()).await;
        Ok(TimedResponse {
            response,
            took: began.elapsed(),
        })
    }

    /// Fails after the time limit of the run.
    pub(super) fn check_time_limit(&self) -> Result<(), NotTriedError> {
        if self.began.elapsed() < self.options.limit {
            return Ok(());
        }
        NotTriedError::because(format!(
            "the time limit of {} seconds for the whole check passed",
            self.options.limit.as_secs()
        ))
    }

    fn record_reply(&mut self, request: &SenderRequest, reply: &TimedResponse) {
        self.record_sent(&request.id, reply.status());
        self.stats.count_headers(reply);
    }

    /// Records an id once. A later refusal does not replace an accepted status.
    fn record_sent(&mut self, id: &str, status: Option<u16>) {
        let latest = SentNotification {
            id: id.to_owned(),
            status,
        };
        match self.sent.iter_mut().find(|known| known.id == id) {
            Some(known) if known.may_be_stored() => {}
            Some(known) => *known = latest,
            None => self.sent.push(latest),
        }
    }

    /// Runs a probe and reports its finding, if the check applies to the sender.
    pub(super) async fn probe(
        &mut self,
        check: &Check,
        probe: impl AsyncFnOnce(&mut Self) -> ProbeResult,
    ) {
        if check.of(self.sender).is_some() {
            let result = probe(self).await;
            self.conclude(check, result);
        }
    }

    /// Reports the finding of a check.
    pub(super) fn conclude(&mut self, check: &Check, result: ProbeResult) {
        let (grade, seen) = match result {
            Ok(ProbeAssessment { grade, seen }) => (grade, seen),
            Err(NotTriedError(why)) => (Grade::NotTried, why),
        };
        if let Some(finding) = CheckFinding::of(check, self.sender, grade, seen) {
            (self.on_finding)(&finding);
            self.findings.push(finding);
        }
    }

    /// Ends a run early. All checks without a finding are reported as not tried because of `why`.
    pub(super) fn abandon(mut self, why: &str) -> CheckReport {
        for check in super::checks() {
            if !self.findings.iter().any(|finding| finding.id == check.id) {
                self.conclude(check, NotTriedError::because(why));
            }
        }
        self.end()
    }

    /// Ends the run.
    pub(super) fn end(self) -> CheckReport {
        let Self {
            url,
            sender,
            started_at,
            began,
            findings,
            sent,
            ..
        } = self;
        CheckReport {
            url: redacted(url),
            sender,
            started_at,
            took: began.elapsed(),
            findings,
            sent,
        }
    }
}

/// Calls `test` with a run of each sender.
#[cfg(test)]
pub(super) fn with_each_sender(test: impl Fn(&CheckRun<'_>)) {
    let (clock, options) = (
        super::super::tests::TestClock::new(),
        CheckOptions::default(),
    );
    let url = Url::parse("http://localhost/").unwrap();
    for sender in Sender::ALL {
        test(&CheckRun::new(
            (&url, sender, "a secret"),
            &options,
            &clock,
            &mut |_| {},
        ));
    }
}
