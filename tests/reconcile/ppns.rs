//! HMRC on loopback, an inbox, and a clock that passes when a run waits.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pillarbox::{
    inbox::{Filter, Inbox, Page, Row, sqlite::SqliteInbox},
    notification::{SourceName, Timestamp},
    reconcile::{Access, Around, Ended, Found, News, Observer, Options, Outcome, Sleeper, Stop, hmrc, run},
    secret::Secret,
    simulate::{
        hmrc::Message,
        pull::{
            Ppns,
            ppns::{Application, Endpoint, Notification, Status},
        },
    },
    source::Acceptance,
    world::World,
};
use tempfile::TempDir;

use super::fused::Fused;
use crate::clock::Clock;

pub(crate) const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";
pub(crate) const SECOND_BOX: &str = "60dca3fc-c37c-4f03-b719-63571333624c";
pub(crate) const THIRD_BOX: &str = "70dca3fc-c37c-4f03-b719-63571333624c";
/// A box of another application.
pub(crate) const FOREIGN_BOX: &str = "11111111-c37c-4f03-b719-63571333624c";
pub(crate) const CLIENT: &str = "a-client-id-of-the-application";
pub(crate) const SECRET: &str = "a-client-secret-of-the-application";

/// How long HMRC pushes before it gives up.
pub(crate) const PUSHED: Duration = Duration::from_secs(6 * 60 * 60);

impl Sleeper for Clock {
    async fn sleep(&self, time: Duration) {
        self.pass(time);
        tokio::task::yield_now().await;
    }
}

/// The clock of the machine that a run is on: HMRC's own, unless it is wrong.
pub(crate) struct Local {
    clock: Arc<Clock>,
    wrong_by: AtomicI64,
}

impl Local {
    /// Turns it on, or back, by so many milliseconds.
    pub(crate) fn turn(&self, milliseconds: i64) {
        self.wrong_by.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl World for Local {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().as_millis() + self.wrong_by.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

/// Keeps what it is told, as text.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<String>>);

impl Observer for Told {
    fn tell(&self, news: News<'_>) {
        self.0.lock().unwrap().push(format!("{news:?}"));
    }
}

pub(crate) struct Rig {
    pub(crate) clock: Arc<Clock>,
    pub(crate) local: Arc<Local>,
    pub(crate) ppns: Ppns,
    pub(crate) inbox: Fused,
    pub(crate) stop: Stop,
    pub(crate) told: Told,
    pub(crate) source: SourceName,
    _folder: TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let clock = Clock::new();
        let ppns = Ppns::start(0, clock.clone()).await.unwrap();
        ppns.with(|boxes| {
            boxes.register(Application::new(CLIENT, SECRET));
            boxes.register(Application::new("another", "secret of another"));
            for id in [BOX, SECOND_BOX, THIRD_BOX] {
                boxes.open(id, CLIENT);
            }
            boxes.open(FOREIGN_BOX, "another");
        });
        let folder = TempDir::new().unwrap();
        let inbox = Fused::new(SqliteInbox::create(&folder.path().join("inbox.db")).unwrap());
        let source = SourceName::new("hmrc").unwrap();
        let local = Arc::new(Local { clock: clock.clone(), wrong_by: AtomicI64::new(0) });
        Self { clock, local, ppns, inbox, stop: Stop::default(), told: Told::default(), source, _folder: folder }
    }

    pub(crate) fn access(&self, boxes: &[&str]) -> hmrc::Access {
        hmrc::Access {
            base_url: self.ppns.base_url().clone(),
            boxes: boxes.iter().map(|id| (*id).to_owned()).collect(),
            client_id: Secret::new(CLIENT.to_owned()),
            client_secret: Secret::new(SECRET.to_owned()),
        }
    }

    /// Puts a notification into a box that was created so long ago; HMRC has given it up after hours.
    pub(crate) fn add(&self, box_id: &str, ago: Duration) -> String {
        self.put(box_id, ago, |notification| notification)
    }

    pub(crate) fn put(&self, box_id: &str, ago: Duration, how: impl Fn(Notification) -> Notification) -> String {
        let status = if ago < PUSHED { Status::Pending } else { Status::Failed };
        let number = self.ppns.with(|boxes| boxes.notifications().len());
        let new = Notification::new(box_id, Message::json(format!(r#"{{"number":{number}.10}}"#)), &*self.clock);
        let notification = how(new.in_status(status).created(self.clock.now().minus(ago)));
        let id = notification.id.clone();
        self.ppns.with(|boxes| boxes.add(notification));
        id
    }

    pub(crate) async fn run(&self, boxes: &[&str]) -> (Ended, Vec<hmrc::BoxReport>) {
        self.run_as(&self.access(boxes), &Options::default()).await
    }

    pub(crate) async fn run_as(&self, access: &hmrc::Access, options: &Options) -> (Ended, Vec<hmrc::BoxReport>) {
        let outcome = self.outcome(&self.source, access, options).await;
        let Found::Hmrc(boxes) = outcome.found else { panic!("it is HMRC that was asked") };
        (outcome.ended, boxes)
    }

    pub(crate) async fn outcome(&self, source: &SourceName, access: &hmrc::Access, options: &Options) -> Outcome {
        self.outcome_with(&*self.clock, source, access, options).await
    }

    pub(crate) async fn outcome_with<S: Sleeper>(
        &self,
        sleeper: &S,
        source: &SourceName,
        access: &hmrc::Access,
        options: &Options,
    ) -> Outcome {
        let around = Around {
            inbox: &self.inbox,
            world: &*self.local,
            sleeper,
            stop: &self.stop,
            observer: &self.told,
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        run(source, &Access::Hmrc(access.clone()), options, &around).await
    }

    /// A deadline so far from now.
    pub(crate) fn within(&self, time: Duration) -> Options {
        Options { deadline: Some(self.clock.now().plus(time)), ..Options::default() }
    }

    pub(crate) async fn rows(&self) -> Vec<Row> {
        self.inbox.inbox.list(&Filter::default(), Page::first(1_000_000)).await.unwrap().rows
    }

    /// The ids that are stored.
    pub(crate) async fn stored(&self) -> BTreeSet<String> {
        self.rows().await.iter().map(Row::id).collect()
    }

    /// The ids that HMRC was told are stored.
    pub(crate) fn acknowledged(&self) -> BTreeSet<String> {
        self.ppns.calls().acknowledged().into_iter().collect()
    }

    /// Nothing was acknowledged that is not stored: what may never be otherwise.
    pub(crate) async fn assert_nothing_is_lost(&self) {
        let (acknowledged, stored) = (self.acknowledged(), self.stored().await);
        assert!(acknowledged.is_subset(&stored), "{:?}", acknowledged.difference(&stored).collect::<Vec<_>>());
    }

    /// HMRC's limits, by its own ledger.
    pub(crate) fn assert_limits_hold(&self) {
        let calls = self.ppns.calls();
        assert!(calls.most_in_a_second() <= 3, "{} calls in a second", calls.most_in_a_second());
        for id in [BOX, SECOND_BOX, THIRD_BOX] {
            let gap = self.ppns.smallest_gap_between_lists(id);
            assert!(gap.is_none_or(|gap| gap >= Duration::from_secs(10)), "{id} was listed again after {gap:?}");
        }
        assert!(calls.iter().all(|call| call.decided() != Some(429)), "and it was never too much");
    }

    /// How often each endpoint was called: tokens, lists, acknowledgements.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let calls = self.ppns.calls();
        [Endpoint::Token, Endpoint::List, Endpoint::Acknowledge].map(|endpoint| calls.to(endpoint).len())
    }

    /// How many are left that HMRC holds and nobody has acknowledged.
    pub(crate) fn left(&self) -> usize {
        let tally = self.ppns.with(|boxes| boxes.tally());
        tally.pending + tally.failed
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}
