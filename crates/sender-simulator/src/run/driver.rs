//! Runs a plan: sends each message until its sender stops sending it.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join, stream};
use tokio::{sync::Semaphore, time::Instant};
use url::Url;

use super::{
    DeliveryOutcome, ExchangeRecord, MessageKind, REORDER_WINDOW, RunEvent, RunPlan, RunStats,
    SettledMessage,
    capture::CapturedRequest,
    connection_pool::ConnectionPool,
    injected_faults::{DisconnectPoint, InjectedFaults},
    messages,
    scaled_clock::ScaledClock,
    seeded_rng::{RngStream, SeededRng},
};
use crate::{
    Clock, DeliveryAttempt, ExchangeError, ExchangeOutcome, MessageBody, NextAction,
    ReceiverConnection, ReceiverResponse, Sender, SenderRequest, SystemClock,
    cookies::CookieStore,
    decide, exchange, hmrc,
    redirect::{self, RedirectChain, RedirectStep},
};

/// The number of messages that may be in progress, most of them waiting for their next attempt.
const MAX_OPEN_MESSAGES: usize = 10_000;
/// The number of connections in a burst. The machine's ports and file descriptors are limited.
const MAX_BURST_CONNECTIONS: usize = 500;
/// The number of retries that HMRC makes at once.
const HMRC_RETRIES: usize = 10;
/// The number of pieces of a slow body.
const SLOW_PIECES: usize = 10;
/// The pause between two pieces of a slow body.
const SLOW_PAUSE: Duration = Duration::from_millis(100);

/// A callback for each event.
pub(super) type RunObserver<'a> = &'a (dyn Fn(RunEvent<'_>) + Sync);

/// A run in progress.
pub(super) struct RunDriver<'a> {
    plan: &'a RunPlan,
    on_event: RunObserver<'a>,
    clock: ScaledClock,
    pool: ConnectionPool,
    cookies: Mutex<CookieStore>,
    first_attempts: Semaphore,
    retries: Semaphore,
    secret_rotated: AtomicBool,
    exchanges: AtomicU64,
    stats: Mutex<RunStats>,
}

/// The response, or the outcome if there is none.
type ExchangeResult = Result<ReceiverResponse, ExchangeOutcome>;

/// A URL that must not receive test data counts as unreachable.
fn outcome_of(error: ExchangeError) -> ExchangeOutcome {
    error.outcome().unwrap_or(ExchangeOutcome::Unreachable)
}

/// A message in progress. Its bytes are generated for each attempt, because thousands of messages
/// may be waiting.
#[derive(Clone, Copy)]
struct PlannedMessage {
    kind: MessageKind,
    n: u64,
    first: DeliveryAttempt,
    slow: bool,
}

/// The end of one attempt, after all that the sender's client repeated and followed within it.
struct AttemptResult {
    end: AttemptEnd,
    attempt: DeliveryAttempt,
    outcome: ExchangeOutcome,
    response: Option<ReceiverResponse>,
    redirected: Redirected,
    took: Duration,
}

/// Where redirects led the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redirected {
    Nowhere,
    ToResponse,
    /// To a URL that must not receive test data.
    Elsewhere,
}

/// What the sender does after an attempt.
enum AttemptEnd {
    Settled(DeliveryOutcome),
    Retry(Duration),
}

impl AttemptEnd {
    /// The end of an attempt, of which a redirect may have led to the wrong place.
    fn of(next: NextAction, is_lost_by_redirect: bool) -> Self {
        Self::Settled(match next {
            _ if is_lost_by_redirect => DeliveryOutcome::LostByRedirect,
            NextAction::Acknowledged => DeliveryOutcome::Acknowledged,
            NextAction::Retry(wait) | NextAction::Repost(wait) => return Self::Retry(wait),
            NextAction::GiveUp | NextAction::FollowWithoutBody | NextAction::FollowWhole => {
                DeliveryOutcome::Failed
            }
        })
    }
}

impl<'a> RunDriver<'a> {
    pub(super) fn new(plan: &'a RunPlan, on_event: RunObserver<'a>) -> Self {
        let threads = plan.threads.max(1);
        let threads = if plan.fault_rates.burst {
            MAX_BURST_CONNECTIONS
        } else {
            threads
        };
        let retries = if plan.sender == Sender::Hmrc {
            HMRC_RETRIES
        } else {
            threads
        };
        Self {
            plan,
            on_event,
            clock: ScaledClock::start(plan.time_scale),
            pool: ConnectionPool::new(plan.sender),
            cookies: Mutex::default(),
            first_attempts: Semaphore::new(threads),
            retries: Semaphore::new(retries),
            secret_rotated: AtomicBool::new(false),
            exchanges: AtomicU64::new(0),
            stats: Mutex::new(RunStats::new(plan.keep_sent)),
        }
    }

    pub(super) fn into_stats(self) -> RunStats {
        self.stats
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the whole plan.
    pub(super) async fn run(&self) {
        if self.is_backlog(0) && !self.challenge().await {
            return; // HMRC refuses the URL, and sends nothing
        }
        let groups = stream::iter(0..self.plan.count.div_ceil(REORDER_WINDOW));
        let order = groups.flat_map(|group| stream::iter(self.order(group)));
        let messages = order.map(|n| self.complete(self.send_notification(n)));
        messages
            .buffer_unordered(MAX_OPEN_MESSAGES)
            .collect::<()>()
            .await;
        let replays =
            stream::iter(&self.plan.replay).map(|capture| self.complete(self.replay(capture)));
        replays
            .buffer_unordered(self.plan.threads.max(1))
            .collect::<()>()
            .await;
    }

    /// Reports one planned message when all of it is done.
    async fn complete(&self, message: impl Future<Output = ()>) {
        message.await;
        (self.on_event)(RunEvent::Completed);
    }

    /// Whether HMRC stored the `n`th notification before the callback URL was saved. Pay has no
    /// backlog.
    fn is_backlog(&self, n: u64) -> bool {
        self.plan.sender == Sender::Hmrc && n < self.plan.backlog
    }

    /// The notifications of one group, in the order in which they begin.
    fn order(&self, group: u64) -> Vec<u64> {
        let from = group * REORDER_WINDOW;
        let mut order: Vec<u64> = (from..self.plan.count.min(from + REORDER_WINDOW)).collect();
        if self.plan.fault_rates.reorder {
            let rng = SeededRng::new(self.plan.seed, RngStream::Order, group, self.plan.start);
            order.sort_by_cached_key(|_| rng.random());
        }
        order
    }

    /// Sends the `n`th notification, with its injected faults.
    async fn send_notification(&self, n: u64) {
        if n >= self.plan.count / 2 {
            self.secret_rotated.store(true, Ordering::Relaxed);
        }
        let faults = InjectedFaults::of(self.plan, n);
        if faults.lost {
            self.stats().summary.lost += 1;
            return;
        }
        // HMRC makes one attempt for a notification that is older than six hours.
        let backlog = self.is_backlog(n);
        let first = if backlog {
            DeliveryAttempt::LAST
        } else {
            DeliveryAttempt::FIRST
        };
        let message = PlannedMessage {
            kind: MessageKind::Notification,
            n,
            first,
            slow: faults.slow,
        };
        if let Some(point) = faults.disconnect {
            self.abandon(message, point).await;
        }
        if faults.concurrent {
            join(self.deliver(message), self.deliver(message)).await;
        } else {
            self.deliver(message).await;
        }
        if faults.duplicate {
            self.deliver(message).await;
        }
        if faults.second_id && self.plan.sender == Sender::GovukPay {
            self.deliver(PlannedMessage {
                kind: MessageKind::SecondId,
                ..message
            })
            .await;
        }
        if faults.wrong_key {
            self.forge(n).await;
        }
        if faults.truncate {
            self.truncate(n).await;
        }
    }

    /// Sends a message on the sender's schedule until it is settled.
    async fn deliver(&self, message: PlannedMessage) {
        let (mut attempt, mut requests) = (message.first, 0);
        loop {
            let thread = self.threads(message, attempt).acquire().await;
            let body = self.body(message);
            if requests == 0 {
                self.stats().begin(&body.id, message.kind);
            }
            let request = self.signed(&body);
            let result = self
                .attempt(
                    message,
                    attempt,
                    request,
                    self.plan.url.clone(),
                    &mut requests,
                )
                .await;
            drop((thread, body));
            attempt = result.attempt;
            match result.end {
                AttemptEnd::Settled(outcome) => {
                    return self.settle(SettledMessage {
                        sender: self.plan.sender,
                        id: self.body(message).id,
                        kind: message.kind,
                        outcome,
                        attempts: attempt.number - message.first.number + 1,
                        requests,
                        last_exchange: result.outcome,
                        took: result.took,
                    });
                }
                AttemptEnd::Retry(wait) => {
                    self.stats().summary.retries += 1;
                    (self.on_event)(RunEvent::WaitBegan);
                    self.clock.sleep(wait).await;
                    (self.on_event)(RunEvent::WaitEnded);
                    attempt = DeliveryAttempt {
                        number: attempt.number + 1,
                        copy: 1,
                    };
                }
            }
        }
    }

    /// The threads that make this attempt. The job that repeats pushes also sends the backlog.
    fn threads(&self, message: PlannedMessage, attempt: DeliveryAttempt) -> &Semaphore {
        let is_retry = attempt.number > message.first.number;
        if is_retry || self.is_backlog(message.n) {
            &self.retries
        } else {
            &self.first_attempts
        }
    }

    /// Makes one attempt as the sender's client does: repeats some requests at once, and follows
    /// redirects.
    ///
    /// The message is lost if a GET succeeds, because it has no body, or if a redirect leads to a
    /// URL that must not receive test data.
    async fn attempt(
        &self,
        message: PlannedMessage,
        mut attempt: DeliveryAttempt,
        mut request: SenderRequest,
        mut url: Url,
        requests: &mut u32,
    ) -> AttemptResult {
        let sender = self.plan.sender;
        let mut redirects = RedirectChain::new(sender);
        loop {
            *requests += 1;
            let (result, took) = self.exchange(message, attempt, &url, &request).await;
            let mut outcome = self.outcome(&result);
            let mut next = decide(sender, outcome, attempt).next;
            let mut redirected = if redirects.has_followed() {
                Redirected::ToResponse
            } else {
                Redirected::Nowhere
            };
            if let NextAction::Repost(wait) = next {
                self.stats().summary.reposts += 1;
                self.clock.sleep(wait).await;
                attempt.copy += 1;
                continue;
            }
            if matches!(
                next,
                NextAction::FollowWithoutBody | NextAction::FollowWhole
            ) {
                let location = result.as_ref().ok();
                let location = location.and_then(|response| response.header("location"));
                let whole = next == NextAction::FollowWhole;
                match redirects.follow(&url, &request, whole, location.unwrap_or_default()) {
                    RedirectStep::Follow(following, target) => {
                        (request, url) = (following, target);
                        if sender == Sender::GovukPay {
                            attempt.copy = 1; // Pay's client may repeat each request once
                        }
                        continue;
                    }
                    RedirectStep::Elsewhere => redirected = Redirected::Elsewhere,
                    RedirectStep::TooMany => {
                        outcome = ExchangeOutcome::TooManyRedirects;
                        next = decide(sender, outcome, attempt).next;
                    }
                }
            }
            let is_lost = redirected == Redirected::Elsewhere
                || next == NextAction::Acknowledged && request.method == "GET";
            return AttemptResult {
                end: AttemptEnd::of(next, is_lost),
                attempt,
                outcome,
                response: result.ok(),
                redirected,
                took,
            };
        }
    }

    fn body(&self, message: PlannedMessage) -> MessageBody {
        match message.kind {
            MessageKind::SecondId => messages::with_second_id(self.plan, message.n),
            _ => messages::body(self.plan, message.n),
        }
    }

    async fn exchange(
        &self,
        message: PlannedMessage,
        attempt: DeliveryAttempt,
        url: &Url,
        request: &SenderRequest,
    ) -> (ExchangeResult, Duration) {
        let (began, profile) = (Instant::now(), self.plan.sender.client_profile());
        let request = &self.with_cookies(message.kind, url, request);
        let result = if self.clock.elapsed() < self.plan.fault_rates.outage {
            Err(ExchangeOutcome::Unreachable)
        } else if url == &self.plan.url {
            let exchange = self.exchange_pooled(request, message.slow);
            let result = tokio::time::timeout(profile.total_timeout, exchange).await;
            result
                .unwrap_or(Err(ExchangeError::TimedOut))
                .map_err(outcome_of)
        } else {
            exchange(request, url, profile).await.map_err(outcome_of)
        };
        let took = began.elapsed();
        if let Ok(response) = &result {
            self.cookies().store(url, response, SystemClock.now());
        }
        self.report_exchange(message.kind, attempt, url, request, &result, took);
        (result, took)
    }

    /// The request with the receiver's cookies, in Pay's last header. A forged message has none.
    fn with_cookies(&self, kind: MessageKind, url: &Url, request: &SenderRequest) -> SenderRequest {
        let mut request = request.clone();
        if self.plan.sender == Sender::GovukPay && kind.is_genuine() {
            let cookies = self.cookies().header(url, SystemClock.now());
            let header = cookies.map(|cookies| ("Cookie".to_owned(), cookies));
            request.headers.extend(header);
        }
        request
    }

    async fn exchange_pooled(
        &self,
        request: &SenderRequest,
        slow: bool,
    ) -> Result<ReceiverResponse, ExchangeError> {
        let mut connection = self.pool.take(&self.plan.url).await?;
        let response = if slow {
            connection
                .send_in_pieces(SLOW_PIECES, SLOW_PAUSE, request)
                .await
        } else {
            connection.send(request).await
        };
        self.pool.put(connection);
        response
    }

    /// Sends a part of a request and disconnects.
    async fn abandon(&self, message: PlannedMessage, point: DisconnectPoint) {
        let _thread = self.first_attempts.acquire().await;
        let request = self.signed(&self.body(message));
        let bytes = match point {
            DisconnectPoint::InBody => request.body.len() / 2,
            DisconnectPoint::BeforeResponse => request.body.len(),
        };
        self.stats().summary.abandoned += 1;
        let profile = self.plan.sender.client_profile();
        if let Ok(connection) = ReceiverConnection::open(&self.plan.url, profile).await {
            connection.abandon(&request, bytes).await;
        }
    }

    /// Sends a forged message, signed with a key that is not the receiver's.
    async fn forge(&self, n: u64) {
        let (body, wrong_key) = (
            messages::unrelated(self.plan, n),
            format!("not-{}", self.secret()),
        );
        let request = self.plan.sender.request(&body, &wrong_key, &self.plan.url);
        self.post_once(MessageKind::Forged, &request).await;
    }

    /// Sends a message whose second half was removed after signing. Its length header matches.
    async fn truncate(&self, n: u64) {
        let mut request = self.signed(&messages::unrelated(self.plan, n ^ (1 << 63)));
        request.body.truncate(request.body.len() / 2);
        request.set_header("content-length", &request.body.len().to_string());
        self.post_once(MessageKind::Truncated, &request).await;
    }

    /// Sends a captured request of an earlier run. Its signature is still valid.
    async fn replay(&self, capture: &CapturedRequest) {
        let request = redirect::readdress(capture.request.clone(), &self.plan.url);
        self.post_once(MessageKind::Replayed, &request).await;
    }

    /// Sends a request that has no retry schedule.
    async fn post_once(&self, kind: MessageKind, request: &SenderRequest) {
        self.stats().begin(&request.id, kind);
        let _thread = self.first_attempts.acquire().await;
        let first = DeliveryAttempt::FIRST;
        let message = PlannedMessage {
            kind,
            n: 0,
            first,
            slow: false,
        };
        let (result, took) = self.exchange(message, first, &self.plan.url, request).await;
        let last_exchange = self.outcome(&result);
        let is_accepted = matches!(
            last_exchange,
            ExchangeOutcome::Answered {
                status: 200..300,
                ..
            }
        );
        let outcome = if is_accepted {
            DeliveryOutcome::Acknowledged
        } else {
            DeliveryOutcome::Refused
        };
        self.settle(SettledMessage {
            sender: self.plan.sender,
            id: request.id.clone(),
            kind,
            outcome,
            attempts: 1,
            requests: 1,
            last_exchange,
            took,
        });
    }

    /// Sends the challenge that HMRC sends before it accepts a callback URL.
    async fn challenge(&self) -> bool {
        let rng = SeededRng::new(self.plan.seed, RngStream::Challenge, 0, self.plan.start);
        let (request, url) = hmrc::challenge(&self.plan.url, &rng);
        let id = request.id.clone();
        let first = DeliveryAttempt::FIRST;
        let message = PlannedMessage {
            kind: MessageKind::Challenge,
            n: 0,
            first,
            slow: false,
        };
        let result = self.attempt(message, first, request, url, &mut 0).await;
        let echoed = result
            .response
            .is_some_and(|response| hmrc::is_echo(&id, response.status, &response.body));
        match (result.redirected, echoed) {
            (Redirected::Nowhere, true) => {}
            (Redirected::ToResponse, true) => self.stats().accept_redirected_challenge(&id),
            (Redirected::Elsewhere, _) => self.stats().lose_challenge(&id),
            (_, false) => self.stats().refuse_challenge(&id),
        }
        echoed
    }

    fn signed(&self, body: &MessageBody) -> SenderRequest {
        self.plan
            .sender
            .request(body, self.secret(), &self.plan.url)
    }

    /// The current secret. Senders read it for each request, retries included.
    fn secret(&self) -> &str {
        let rotated = self.secret_rotated.load(Ordering::Relaxed);
        let rotated = self.plan.rotate_to.as_ref().filter(|_| rotated);
        rotated.unwrap_or(&self.plan.secret)
    }

    fn outcome(&self, result: &ExchangeResult) -> ExchangeOutcome {
        match result {
            // The receiver writes dates by its own clock, which is not scaled.
            Ok(response) => response.outcome(self.plan.sender, SystemClock.now()),
            Err(outcome) => *outcome,
        }
    }

    fn report_exchange(
        &self,
        kind: MessageKind,
        attempt: DeliveryAttempt,
        url: &Url,
        request: &SenderRequest,
        result: &ExchangeResult,
        took: Duration,
    ) {
        let outcome = self.outcome(result);
        self.stats().count_exchange(kind, outcome, took);
        (self.on_event)(RunEvent::Exchanged(ExchangeRecord {
            number: self.exchanges.fetch_add(1, Ordering::Relaxed) + 1,
            sender: self.plan.sender,
            kind,
            attempt,
            url,
            request,
            response: result.as_ref().ok(),
            outcome,
            took,
        }));
    }

    fn settle(&self, settled: SettledMessage) {
        (self.on_event)(RunEvent::Settled(&settled));
        self.stats().settle(settled);
    }

    fn cookies(&self) -> MutexGuard<'_, CookieStore> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> MutexGuard<'_, RunStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
