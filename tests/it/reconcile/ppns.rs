//! HMRC on loopback, and a machine that empties its boxes.

use std::{collections::BTreeSet, ops::Deref, time::Duration};

use pillarbox::{
    domain::SourceName,
    reconcile::{RunEnd, RunFindings, RunOptions, RunOutcome, RunSleeper, SenderAccess, hmrc},
    secrets::Secret,
};
use sender_simulator::{
    apis::{
        PpnsApi,
        ppns::{BoxNotification, BoxNotificationStatus, PpnsApplication, PpnsEndpoint},
    },
    hmrc::HmrcMessage,
};

use super::machine::ReconcileMachine;
use test_support::manual_clock::{ManualClock, sender_time};

pub(crate) const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";
pub(crate) const SECOND_BOX: &str = "60dca3fc-c37c-4f03-b719-63571333624c";
pub(crate) const THIRD_BOX: &str = "70dca3fc-c37c-4f03-b719-63571333624c";
/// A box of another application.
pub(crate) const FOREIGN_BOX: &str = "11111111-c37c-4f03-b719-63571333624c";
pub(crate) const CLIENT: &str = "a-client-id-of-the-application";
pub(crate) const SECRET: &str = "a-client-secret-of-the-application";

/// How long HMRC pushes before it gives up.
const PUSHED: Duration = Duration::from_secs(6 * 60 * 60);

pub(crate) struct HmrcRig {
    pub(crate) ppns: PpnsApi,
    pub(crate) machine: ReconcileMachine,
    pub(crate) source: SourceName,
}

impl Deref for HmrcRig {
    type Target = ReconcileMachine;

    fn deref(&self) -> &ReconcileMachine {
        &self.machine
    }
}

impl HmrcRig {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new();
        let ppns = PpnsApi::start(0, clock.clone()).await.unwrap();
        ppns.with(|boxes| {
            boxes.register(PpnsApplication::new(CLIENT, SECRET));
            boxes.register(PpnsApplication::new("another", "secret of another"));
            for id in [BOX, SECOND_BOX, THIRD_BOX] {
                boxes.open(id, CLIENT);
            }
            boxes.open(FOREIGN_BOX, "another");
        });
        Self {
            ppns,
            machine: ReconcileMachine::new(&clock),
            source: SourceName::new("hmrc").unwrap(),
        }
    }

    pub(crate) fn access(&self, boxes: &[&str]) -> hmrc::HmrcAccess {
        hmrc::HmrcAccess {
            base_url: self.ppns.base_url().clone(),
            boxes: boxes.iter().map(|id| (*id).to_owned()).collect(),
            client_id: Secret::new(CLIENT.to_owned()),
            client_secret: Secret::new(SECRET.to_owned()),
            every: None,
        }
    }

    /// Puts a notification into a box that was created so long ago; HMRC has given it up after
    /// hours.
    pub(crate) fn add(&self, box_id: &str, ago: Duration) -> String {
        self.put(box_id, ago, |notification| notification)
    }

    pub(crate) fn put(
        &self,
        box_id: &str,
        ago: Duration,
        how: impl Fn(BoxNotification) -> BoxNotification,
    ) -> String {
        let status = if ago < PUSHED {
            BoxNotificationStatus::Pending
        } else {
            BoxNotificationStatus::Failed
        };
        let number = self.ppns.with(|boxes| boxes.notifications().len());
        let new = BoxNotification::new(
            box_id,
            HmrcMessage::json(format!(r#"{{"number":{number}.10}}"#)),
            &*self.clock,
        );
        let notification = how(new
            .with_status(status)
            .created(sender_time(self.now()).minus(ago)));
        let id = notification.id.clone();
        self.ppns.with(|boxes| boxes.add(notification));
        id
    }

    pub(crate) async fn run(&self, boxes: &[&str]) -> (RunEnd, Vec<hmrc::BoxReport>) {
        self.run_as(&self.access(boxes), &RunOptions::default())
            .await
    }

    pub(crate) async fn run_as(
        &self,
        access: &hmrc::HmrcAccess,
        options: &RunOptions,
    ) -> (RunEnd, Vec<hmrc::BoxReport>) {
        let outcome = self
            .outcome(&*self.clock, &self.source, access, options)
            .await;
        let RunFindings::Hmrc(boxes) = outcome.found else {
            panic!("the call went to HMRC")
        };
        (outcome.ended, boxes)
    }

    pub(crate) async fn outcome<S: RunSleeper>(
        &self,
        sleeper: &S,
        source: &SourceName,
        access: &hmrc::HmrcAccess,
        options: &RunOptions,
    ) -> RunOutcome {
        self.machine
            .run(
                sleeper,
                source,
                &SenderAccess::Hmrc(access.clone()),
                options,
            )
            .await
    }

    /// The acknowledged ids.
    pub(crate) fn acknowledged(&self) -> BTreeSet<String> {
        self.ppns.calls().acknowledged().into_iter().collect()
    }

    /// Nothing was acknowledged that is not stored: what may never be otherwise.
    pub(crate) async fn assert_nothing_is_lost(&self) {
        let (acknowledged, stored) = (self.acknowledged(), self.stored().await);
        assert!(
            acknowledged.is_subset(&stored),
            "{:?}",
            acknowledged.difference(&stored).collect::<Vec<_>>()
        );
    }

    /// HMRC's limits, by its own ledger.
    pub(crate) fn assert_limits_hold(&self) {
        let calls = self.ppns.calls();
        assert!(
            calls.max_calls_per_second() <= 3,
            "{} calls in a second",
            calls.max_calls_per_second()
        );
        for id in [BOX, SECOND_BOX, THIRD_BOX] {
            let gap = self.ppns.smallest_gap_between_lists(id);
            assert!(
                gap.is_none_or(|gap| gap >= Duration::from_secs(10)),
                "{id} was listed again after {gap:?}"
            );
        }
        assert!(
            calls.iter().all(|call| call.decided() != Some(429)),
            "and it was never too much"
        );
    }

    /// How often each endpoint was called: tokens, lists, acknowledgements.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let calls = self.ppns.calls();
        [
            PpnsEndpoint::Token,
            PpnsEndpoint::List,
            PpnsEndpoint::Acknowledge,
        ]
        .map(|endpoint| calls.to(endpoint).len())
    }

    /// The number of unacknowledged notifications at HMRC.
    pub(crate) fn left(&self) -> usize {
        let counts = self.ppns.with(|boxes| boxes.count_by_status());
        counts.pending + counts.failed
    }
}
