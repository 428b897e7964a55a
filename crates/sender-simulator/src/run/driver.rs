//! Runs a plan: sends each message until its sender stops sending it.

mod delivery;
mod exchange;
mod extra_requests;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join, stream};
use tokio::sync::Semaphore;
use url::Url;

use super::{
    DeliveryOutcome, ExchangeRecord, MessageKind, REORDER_WINDOW, RunEvent, RunPlan, RunStats,
    SettledMessage,
    connection_pool::SenderConnections,
    injected_faults::InjectedFaults,
    scaled_clock::ScaledClock,
    seeded_rng::{RngStream, SeededRng},
};
use crate::{
    Clock, DeliveryAttempt, ExchangeError, ExchangeOutcome, MessageBody, NextAction,
    ReceiverResponse, Sender, SenderRequest, SystemClock, cookies::CookieStore,
    redirect::RedirectOutcome,
};

/// The number of messages that may be in progress, most of them waiting for their next attempt.
const MAX_OPEN_MESSAGES: usize = 10_000;

/// The number of connections in a burst. The machine's ports and file descriptors are limited.
const MAX_BURST_CONNECTIONS: usize = 500;

/// The number of retries that HMRC makes at the same time.
const HMRC_RETRIES: usize = 10;

/// A callback for each event.
pub(super) type RunObserver<'a> = &'a (dyn Fn(RunEvent<'_>) + Sync);

/// A run in progress.
pub(super) struct RunDriver<'a> {
    plan: &'a RunPlan,
    on_event: RunObserver<'a>,
    clock: ScaledClock,
    pool: SenderConnections,
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
struct SenderAttemptResult {
    end: AttemptEnd,
    attempt: DeliveryAttempt,
    outcome: ExchangeOutcome,
    response: Option<ReceiverResponse>,
    redirected: RedirectOutcome,
    took: Duration,
}

/// The sender's step after an attempt.
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
            pool: SenderConnections::new(plan.sender),
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
            // The receiver writes dates by the real clock, which is not scaled.
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
