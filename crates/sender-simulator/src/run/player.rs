//! One message after another, each until its sender is done with it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join, stream};
use tokio::{sync::Semaphore, time::Instant};
use url::Url;

use super::{
    Books, Exchanged, Fate, Plan, REORDERED, Seen, Settled, What,
    capture::Capture,
    chaos::{Silence, Twists},
    clock::SenderClock,
    dice::{Dice, Of},
    pool::Pool,
    redirect, story,
};
use crate::{
    Answer, Attempt, Body, Clock, Connection, ExchangeError, Next, Outcome, Request, Sender,
    exchange, hmrc, verdict,
};

/// How many messages may wait for their next attempt; further ones begin when some of these are done.
const OPEN: usize = 10_000;
/// How many connections a burst opens at once: a machine has only so many ports and files.
const BURST: usize = 500;
/// How many retries HMRC has under way at once.
const HMRC_RETRIES: usize = 10;
/// A dripping body comes in so many pieces.
const DRIPS: usize = 10;
/// This long lies between two of them.
const DRIP: Duration = Duration::from_millis(100);

/// Whoever is told how the run goes.
pub(super) type Watch<'a> = &'a (dyn Fn(Seen<'_>) + Sync);

/// A run under way.
pub(super) struct Player<'a> {
    plan: &'a Plan,
    watch: Watch<'a>,
    clock: SenderClock,
    pool: Pool,
    firsts: Semaphore,
    retries: Semaphore,
    rotated: AtomicBool,
    exchanges: AtomicU64,
    books: Mutex<Books>,
}

/// An answer, or what there is in its place.
type Answered = Result<Answer, Outcome>;

/// What an error means to a sender. Where nothing may be sent nobody is, either: the run's own URL was cleared.
fn outcome(error: ExchangeError) -> Outcome {
    error.outcome().unwrap_or(Outcome::Unreachable)
}

/// A message on its way. Its bytes are made when it is sent: thousands may wait for their next attempt.
#[derive(Clone, Copy)]
struct Message {
    what: What,
    n: u64,
    first: Attempt,
    drips: bool,
}

impl<'a> Player<'a> {
    pub(super) fn new(plan: &'a Plan, watch: Watch<'a>) -> Self {
        let threads = if plan.chaos.burst {
            BURST
        } else {
            plan.threads.max(1)
        };
        let retries = if plan.sender == Sender::Hmrc {
            HMRC_RETRIES
        } else {
            threads
        };
        Self {
            plan,
            watch,
            clock: SenderClock::start(plan.time_scale),
            pool: Pool::new(plan.sender),
            firsts: Semaphore::new(threads),
            retries: Semaphore::new(retries),
            rotated: AtomicBool::new(false),
            exchanges: AtomicU64::new(0),
            books: Mutex::new(Books::new(plan.remembers)),
        }
    }

    pub(super) fn into_books(self) -> Books {
        self.books
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays the whole of it.
    pub(super) async fn play(&self) {
        if self.is_kept(0) && !self.challenge().await {
            return; // HMRC refuses the URL, and sends nothing
        }
        let groups = stream::iter(0..self.plan.count.div_ceil(REORDERED));
        let order = groups.flat_map(|group| stream::iter(self.order(group)));
        order
            .map(|n| self.happen(n))
            .buffer_unordered(OPEN)
            .collect::<()>()
            .await;
        let replays = stream::iter(&self.plan.replay);
        replays
            .map(|capture| self.replay(capture))
            .buffer_unordered(self.plan.threads.max(1))
            .collect::<()>()
            .await;
    }

    /// Whether HMRC had kept the `n`th before the callback URL was saved; Pay keeps nothing.
    fn is_kept(&self, n: u64) -> bool {
        self.plan.sender == Sender::Hmrc && n < self.plan.backlog
    }

    /// The messages of one group, in the order in which they begin.
    fn order(&self, group: u64) -> Vec<u64> {
        let from = group * REORDERED;
        let mut order: Vec<u64> = (from..self.plan.count.min(from + REORDERED)).collect();
        if self.plan.chaos.reorder {
            let dice = Dice::new(self.plan.seed, Of::Order, group, self.plan.start);
            order.sort_by_cached_key(|_| dice.random());
        }
        order
    }

    /// Everything about the `n`th notification.
    async fn happen(&self, n: u64) {
        if n >= self.plan.count / 2 {
            self.rotated.store(true, Ordering::Relaxed);
        }
        let twists = Twists::of(self.plan, n);
        if twists.lost {
            self.books().lost += 1;
            return;
        }
        // HMRC makes one attempt more of whatever is older than its six hours.
        let first = if self.is_kept(n) {
            Attempt::LAST
        } else {
            Attempt::FIRST
        };
        let message = Message {
            what: What::Notification,
            n,
            first,
            drips: twists.slow,
        };
        if let Some(silence) = twists.disconnect {
            self.abandon(message, silence).await;
        }
        if twists.concurrent {
            join(self.settle(message), self.settle(message)).await;
        } else {
            self.settle(message).await;
        }
        if twists.duplicate {
            self.settle(message).await;
        }
        if twists.second_id && self.plan.sender == Sender::GovukPay {
            self.settle(Message {
                what: What::SecondId,
                ..message
            })
            .await;
        }
        if twists.wrong_key {
            self.forge(n).await;
        }
        if twists.truncate {
            self.truncate(n).await;
        }
    }

    /// Posts it by the sender's timetable until the sender is done with it.
    async fn settle(&self, message: Message) {
        let (mut attempt, mut requests) = (message.first, 0);
        let settled = loop {
            let threads = if attempt.number > message.first.number {
                &self.retries
            } else {
                &self.firsts
            };
            let thread = threads.acquire().await;
            let body = self.body(message);
            if requests == 0 {
                self.books().begin(&body.id, message.what);
            }
            let (next, outcome, took) = loop {
                let (outcome, took) = self.post(message, &body, attempt, &mut requests).await;
                let next = verdict(self.plan.sender, outcome, attempt).next;
                // A thread is held while its client waits to post again.
                let Next::Repost(wait) = next else {
                    break (next, outcome, took);
                };
                self.books().reposts += 1;
                self.clock.sleep(wait).await;
                attempt = attempt.then(next).unwrap_or(attempt);
            };
            drop(thread);
            let fate = match next {
                Next::Acknowledged => Fate::Acknowledged,
                Next::FollowWithoutBody | Next::FollowWhole => Fate::LostByRedirect,
                Next::GiveUp => Fate::Failed,
                Next::Retry(wait) | Next::Repost(wait) => {
                    self.books().retries += 1;
                    drop(body);
                    self.clock.sleep(wait).await;
                    attempt = attempt.then(next).unwrap_or(attempt);
                    continue;
                }
            };
            let (sender, id, what) = (self.plan.sender, body.id, message.what);
            let attempts = attempt.number - message.first.number + 1;
            break Settled {
                sender,
                id,
                what,
                fate,
                attempts,
                requests,
                last: outcome,
                took,
            };
        };
        self.close(settled);
    }

    fn body(&self, message: Message) -> Body {
        match message.what {
            What::SecondId => story::again(self.plan, message.n),
            _ => story::body(self.plan, message.n),
        }
    }

    /// Posts it once, and goes where its client would be sent.
    ///
    /// What comes back is the outcome that decides. A redirect stays one only if it lost the message: because a GET
    /// without a body was taken for it, or because it leads where test data must not go.
    async fn post(
        &self,
        message: Message,
        body: &Body,
        attempt: Attempt,
        requests: &mut u32,
    ) -> (Outcome, Duration) {
        let (sender, mut url) = (self.plan.sender, self.plan.url.clone());
        let mut request = sender.request(body, self.secret(), &url);
        for _ in 0..=redirect::MOST {
            *requests += 1;
            let (answered, took) = self.exchange(message, attempt, &url, &request).await;
            let outcome = self.outcome(&answered);
            let next = match outcome {
                // What a GET is answered counts by its status alone.
                Outcome::Answered { status, .. } if request.method == "GET" => {
                    let taken = verdict(sender, Outcome::status(status), attempt).next
                        == Next::Acknowledged;
                    return (if taken { LOST } else { outcome }, took);
                }
                outcome => verdict(sender, outcome, attempt).next,
            };
            let (Next::FollowWithoutBody | Next::FollowWhole, Ok(answer)) = (next, &answered)
            else {
                return (outcome, took);
            };
            let Some(place) = answer
                .header("location")
                .and_then(|location| redirect::place(&url, location))
            else {
                return (outcome, took);
            };
            if next == Next::FollowWithoutBody {
                request = redirect::without_body(sender, &request);
            }
            request = redirect::addressed(&request, &place);
            url = place;
        }
        (Outcome::Garbled, Duration::ZERO) // sent on and on: the client gives up
    }

    async fn exchange(
        &self,
        message: Message,
        attempt: Attempt,
        url: &Url,
        request: &Request,
    ) -> (Answered, Duration) {
        let began = Instant::now();
        let answered = if self.clock.elapsed() < self.plan.chaos.outage {
            Err(Outcome::Unreachable)
        } else if url == &self.plan.url {
            let manner = self.plan.sender.manner();
            let both = self.over_a_kept_connection(request, message.drips);
            let answered = tokio::time::timeout(manner.whole, both)
                .await
                .unwrap_or(Err(ExchangeError::TimedOut));
            answered.map_err(outcome)
        } else {
            exchange(request, url, self.plan.sender.manner())
                .await
                .map_err(outcome)
        };
        let took = began.elapsed();
        self.tell(message.what, attempt, url, request, &answered, took);
        (answered, took)
    }

    async fn over_a_kept_connection(
        &self,
        request: &Request,
        drips: bool,
    ) -> Result<Answer, ExchangeError> {
        let mut connection = self.pool.take(&self.plan.url).await?;
        let answer = if drips {
            connection.send_in(DRIPS, DRIP, request).await
        } else {
            connection.send(request).await
        };
        self.pool.give(connection);
        answer
    }

    /// Begins to post it, and is gone: what a receiver hears of a sender whose line went dead.
    async fn abandon(&self, message: Message, silence: Silence) {
        let _thread = self.firsts.acquire().await;
        let request = self
            .plan
            .sender
            .request(&self.body(message), self.secret(), &self.plan.url);
        let bytes = match silence {
            Silence::InTheBody => request.body.len() / 2,
            Silence::BeforeTheAnswer => request.body.len(),
        };
        self.books().abandoned += 1;
        if let Ok(connection) = Connection::open(&self.plan.url, self.plan.sender.manner()).await {
            connection.abandon(&request, bytes).await;
        }
    }

    /// Posts a stranger's message, which must be refused: signed with a key that is none of the receiver's.
    async fn forge(&self, n: u64) {
        let body = story::stranger(self.plan, n);
        let request =
            self.plan
                .sender
                .request(&body, &format!("not-{}", self.secret()), &self.plan.url);
        self.post_once(What::Forged, &request).await;
    }

    /// Posts a message whose second half was lost after it was signed; its length is that of the rest.
    async fn truncate(&self, n: u64) {
        let body = story::stranger(self.plan, n ^ (1 << 63));
        let mut request = self
            .plan
            .sender
            .request(&body, self.secret(), &self.plan.url);
        request.body.truncate(request.body.len() / 2);
        for (_, value) in request
            .headers
            .iter_mut()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            *value = request.body.len().to_string();
        }
        self.post_once(What::Truncated, &request).await;
    }

    /// Posts what somebody kept of an earlier run: the signature is as good as it was.
    async fn replay(&self, capture: &Capture) {
        self.post_once(
            What::Replayed,
            &redirect::addressed(&capture.request, &self.plan.url),
        )
        .await;
    }

    /// Posts what has no timetable.
    async fn post_once(&self, what: What, request: &Request) {
        self.books().begin(&request.id, what);
        let _thread = self.firsts.acquire().await;
        let message = Message {
            what,
            n: 0,
            first: Attempt::FIRST,
            drips: false,
        };
        let (answered, took) = self
            .exchange(message, Attempt::FIRST, &self.plan.url, request)
            .await;
        let last = self.outcome(&answered);
        let taken = matches!(
            last,
            Outcome::Answered {
                status: 200..300,
                ..
            }
        );
        let fate = if taken {
            Fate::Acknowledged
        } else {
            Fate::Refused
        };
        let (sender, id) = (self.plan.sender, request.id.clone());
        self.close(Settled {
            sender,
            id,
            what,
            fate,
            attempts: 1,
            requests: 1,
            last,
            took,
        });
    }

    /// Asks the question that HMRC asks before it keeps a callback URL.
    async fn challenge(&self) -> bool {
        let dice = Dice::new(self.plan.seed, Of::Challenge, 0, self.plan.start);
        let (request, url) = hmrc::challenge(&self.plan.url, &dice);
        let began = Instant::now();
        let answered = exchange(&request, &url, self.plan.sender.manner())
            .await
            .map_err(outcome);
        self.tell(
            What::Challenge,
            Attempt::FIRST,
            &url,
            &request,
            &answered,
            began.elapsed(),
        );
        let echoed =
            answered.is_ok_and(|answer| hmrc::echoes(&request.id, answer.status, &answer.body));
        self.books().challenged(&request.id, echoed);
        echoed
    }

    /// The secret that signs now: keys are read when something is sent, retries included.
    fn secret(&self) -> &str {
        let rotated = self
            .plan
            .rotate_to
            .as_ref()
            .filter(|_| self.rotated.load(Ordering::Relaxed));
        rotated.unwrap_or(&self.plan.secret)
    }

    fn outcome(&self, answered: &Answered) -> Outcome {
        match answered {
            Ok(answer) => answer.outcome(self.plan.start.plus(self.clock.elapsed())),
            Err(outcome) => *outcome,
        }
    }

    fn tell(
        &self,
        what: What,
        attempt: Attempt,
        url: &Url,
        request: &Request,
        answered: &Answered,
        took: Duration,
    ) {
        let outcome = self.outcome(answered);
        self.books().exchanged(what, outcome, took);
        let number = self.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = (self.plan.sender, answered.as_ref().ok());
        (self.watch)(Seen::Exchanged(Exchanged {
            number,
            sender,
            what,
            attempt,
            url,
            request,
            answer,
            outcome,
            took,
        }));
    }

    fn close(&self, settled: Settled) {
        (self.watch)(Seen::Settled(&settled));
        self.books().close(settled);
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The redirect that lost a message, seen from its end: whatever led here, a GET was taken for it.
const LOST: Outcome = Outcome::Answered {
    status: 303,
    location: true,
    retry_after: None,
};
