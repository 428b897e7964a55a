//! One run: what it plays, what it has sent, what it has found, and how much time is left.

use std::{fmt::Display, time::Duration};

use tokio::time::Instant;
use url::Url;

use super::{
    super::{Body, Connection, ExchangeError, Manner, Request, Sender, exchange},
    Options,
    fact::Check,
    reply::Reply,
    report::{Finding, Grade, Report, Sent, told},
    tally::Tally,
};
use crate::{Clock, Timestamp};

/// No exchange is waited for longer than HMRC waits; Pay itself sets no limit to a whole one.
const LONGEST: Duration = Duration::from_secs(20);

/// Why something could not be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotTried(pub(super) String);

impl NotTried {
    pub(super) fn because<T>(why: impl Display) -> Result<T, Self> {
        Err(Self(why.to_string()))
    }
}

/// A grade, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) grade: Grade,
    pub(super) seen: String,
}

impl Judgement {
    pub(super) fn new(grade: Grade, seen: impl Into<String>) -> Self {
        Self {
            grade,
            seen: seen.into(),
        }
    }
}

/// What a probe comes to.
pub(super) type Judged = Result<Judgement, NotTried>;

/// One run of all probes.
pub(super) struct Run<'a> {
    pub(super) url: &'a Url,
    pub(super) sender: Sender,
    pub(super) secret: &'a str,
    pub(super) options: &'a Options,
    pub(super) clock: &'a dyn Clock,
    /// The status that true notifications get, once one was taken; until then, why there is none.
    pub(super) usual: Result<u16, NotTried>,
    pub(super) tally: Tally,
    began: Instant,
    started_at: Timestamp,
    tell: &'a mut dyn FnMut(&Finding),
    findings: Vec<Finding>,
    sent: Vec<Sent>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        (url, sender, secret): (&'a Url, Sender, &'a str),
        options: &'a Options,
        clock: &'a dyn Clock,
        tell: &'a mut dyn FnMut(&Finding),
    ) -> Self {
        Self {
            url,
            sender,
            secret,
            options,
            clock,
            usual: NotTried::because("no notification was sent before"),
            tally: Tally::default(),
            began: Instant::now(),
            started_at: clock.now(),
            tell,
            findings: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// How the sender's client behaves, within what a run can wait for.
    pub(super) fn manner(&self) -> Manner {
        let manner = self.sender.manner();
        Manner {
            whole: manner.whole.min(LONGEST),
            ..manner
        }
    }

    /// The request that carries `body` as its sender would sign it.
    pub(super) fn signed(&self, body: &Body) -> Request {
        self.sender.request(body, self.secret, self.url)
    }

    /// Posts a true notification on a connection of its own; its time counts.
    pub(super) async fn deliver(&mut self, body: &Body) -> Result<Reply, NotTried> {
        let reply = self.post(&self.signed(body)).await?;
        self.tally.time(&reply);
        Ok(reply)
    }

    /// The same twice at once, on two connections.
    pub(super) async fn deliver_twice(&mut self, body: &Body) -> Result<[Reply; 2], NotTried> {
        self.in_time()?;
        let request = self.signed(body);
        let (one, other) = tokio::join!(self.ask(&request, self.url), self.ask(&request, self.url));
        let replies = [one?, other?];
        for reply in &replies {
            self.note(&request, reply);
            self.tally.time(reply);
        }
        Ok(replies)
    }

    /// Posts whatever it is to the receiver's own URL.
    pub(super) async fn post(&mut self, request: &Request) -> Result<Reply, NotTried> {
        let reply = self.ask(request, self.url).await?;
        self.note(request, &reply);
        Ok(reply)
    }

    /// Posts it to another URL.
    pub(super) async fn post_to(
        &mut self,
        request: &Request,
        url: &Url,
    ) -> Result<Reply, NotTried> {
        let reply = self.ask(request, url).await?;
        self.remember(&request.id, reply.status());
        Ok(reply)
    }

    /// Posts a true notification on a connection that is open already.
    pub(super) async fn deliver_on(
        &mut self,
        connection: &mut Connection,
        body: &Body,
    ) -> Result<Reply, NotTried> {
        self.in_time()?;
        let (request, began) = (self.signed(body), Instant::now());
        let reply = Reply {
            answer: connection.send(&request).await,
            took: began.elapsed(),
        };
        self.note(&request, &reply);
        self.tally.time(&reply);
        Ok(reply)
    }

    /// Opens a connection as the sender would.
    pub(super) async fn connect(&self) -> Result<Result<Connection, ExchangeError>, NotTried> {
        self.in_time()?;
        Ok(Connection::open(self.url, self.manner()).await)
    }

    /// Sends a request that stores nothing.
    pub(super) async fn ask(&self, request: &Request, url: &Url) -> Result<Reply, NotTried> {
        self.in_time()?;
        let began = Instant::now();
        let answer = exchange(request, url, self.manner()).await;
        Ok(Reply {
            answer,
            took: began.elapsed(),
        })
    }

    /// Nothing new is begun once the time for all of it is over.
    pub(super) fn in_time(&self) -> Result<(), NotTried> {
        if self.began.elapsed() < self.options.limit {
            return Ok(());
        }
        NotTried::because(format!(
            "the {} seconds for the whole check are over",
            self.options.limit.as_secs()
        ))
    }

    fn note(&mut self, request: &Request, reply: &Reply) {
        self.remember(&request.id, reply.status());
        self.tally.headers(reply);
    }

    /// Keeps an id once; that a copy of it was taken is not forgotten for a later refusal.
    fn remember(&mut self, id: &str, status: Option<u16>) {
        let latest = Sent {
            id: id.to_owned(),
            status,
        };
        match self.sent.iter_mut().find(|known| known.id == id) {
            Some(known) if known.may_be_stored() => {}
            Some(known) => *known = latest,
            None => self.sent.push(latest),
        }
    }

    /// Tries what `check` is about, if it is about this sender at all, and tells what it came to.
    pub(super) async fn probe(
        &mut self,
        check: &Check,
        probe: impl AsyncFnOnce(&mut Self) -> Judged,
    ) {
        if check.of(self.sender).is_some() {
            let judged = probe(self).await;
            self.conclude(check, judged);
        }
    }

    /// Tells what a check came to.
    pub(super) fn conclude(&mut self, check: &Check, judged: Judged) {
        let (grade, seen) = match judged {
            Ok(Judgement { grade, seen }) => (grade, seen),
            Err(NotTried(why)) => (Grade::NotTried, why),
        };
        if let Some(finding) = Finding::of(check, self.sender, grade, seen) {
            (self.tell)(&finding);
            self.findings.push(finding);
        }
    }

    /// Ends a run that can't go on: what has no finding yet was not tried, because of `why`.
    pub(super) fn abandon(mut self, why: &str) -> Report {
        for check in super::checks() {
            if !self.findings.iter().any(|finding| finding.id == check.id) {
                self.conclude(check, NotTried::because(why));
            }
        }
        self.end()
    }

    /// Ends the run.
    pub(super) fn end(self) -> Report {
        let Self {
            url,
            sender,
            started_at,
            began,
            findings,
            sent,
            ..
        } = self;
        Report {
            url: told(url),
            sender,
            started_at,
            took: began.elapsed(),
            findings,
            sent,
        }
    }
}

/// A run of either sender, for tests of what it would send.
#[cfg(test)]
pub(super) fn played(look: impl Fn(&Run<'_>)) {
    let (clock, options) = (super::super::tests::TestClock::new(), Options::default());
    let url = Url::parse("http://localhost/").unwrap();
    for sender in Sender::ALL {
        look(&Run::new(
            (&url, sender, "a secret"),
            &options,
            &clock,
            &mut |_| {},
        ));
    }
}
