//! GOV.UK Pay on loopback, and a machine that looks for missing events.

use std::{collections::BTreeSet, ops::Deref, sync::Mutex, time::Duration};

use futures_util::{StreamExt, stream};
use pillarbox::{
    domain::{Origin, SourceName, Timestamp as ReceiverTime},
    inbox::{Claim, DeliveryInbox, Lease, LeaseId, Mark, ReceiveInbox},
    reconcile::{
        RunEnd, RunFindings, RunOptions, SenderAccess,
        govuk_pay::{self, ExpectedEvent, PaymentsReport},
    },
    secrets::Secret,
    senders::{Acceptance, Entry, SenderKind, SigningKey, read, verify},
};
use sender_simulator::{
    Sender, Timestamp,
    apis::pay_api::{PayApi, PayEndpoint, PaymentLifecycle, PaymentWebhook, SimulatedPayment},
    govuk_pay::PaymentEvent,
    signature,
};

use super::machine::{ReconcileMachine, minutes};
use test_support::manual_clock::{ManualClock, sender_time};

pub(crate) const API_KEY: &str = "api_live_7mrp1d5lsa5pdfs2bvim2f9cdu";
const WEBHOOK_SECRET: &str = "webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu";
/// How long Pay has to push what happened.
const GRACE_PERIOD: Duration = minutes(3 * 60);
const DAY: Duration = minutes(24 * 60);
/// How long after a payment began its capture is submitted.
const CAPTURE_SUBMITTED: Duration = Duration::from_millis(116_087);

/// A missing event, by its payment.
pub(crate) type LostEvents = BTreeSet<(String, ExpectedEvent)>;

pub(crate) struct PayRig {
    pub(crate) api: PayApi,
    pub(crate) machine: ReconcileMachine,
    pub(crate) source: SourceName,
    /// What the webhook subscribes to; `None` without one.
    pub(crate) events: Option<Vec<&'static str>>,
    /// When the inbox was compared with the API, so that refunds were seen.
    runs: Mutex<Vec<Timestamp>>,
}

impl Deref for PayRig {
    type Target = ReconcileMachine;

    fn deref(&self) -> &ReconcileMachine {
        &self.machine
    }
}

impl PayRig {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new();
        let api = PayApi::start(0, clock.clone()).await.unwrap();
        api.with(|accounts| accounts.open(API_KEY));
        Self {
            api,
            machine: ReconcileMachine::new(&clock),
            source: SourceName::new("pay").unwrap(),
            events: Some(SenderKind::GOVUK_PAY.config.webhook_events.to_vec()),
            runs: Mutex::default(),
        }
    }

    /// The time at Pay's API.
    fn api_now(&self) -> Timestamp {
        sender_time(self.now())
    }

    /// So many payments of every sort, begun over the time up to now that is given; Pay knows them
    /// from now on.
    pub(crate) fn live(&self, count: u32, over: Duration) -> Vec<SimulatedPayment> {
        let (first, every) = (self.api_now().minus(over), over / count);
        let lives = PaymentLifecycle::ALL
            .into_iter()
            .cycle()
            .take(count as usize)
            .zip(0u32..);
        let payments: Vec<_> = lives
            .map(|(life, n)| SimulatedPayment::new(life, first.plus(every * n), &*self.clock))
            .collect();
        self.api
            .with(|accounts| accounts.add(API_KEY, payments.clone()));
        payments
    }

    /// A single payment, begun this long ago.
    pub(crate) fn one(&self, life: PaymentLifecycle, ago: Duration) -> SimulatedPayment {
        let payment = SimulatedPayment::new(life, self.api_now().minus(ago), &*self.clock);
        self.api
            .with(|accounts| accounts.add(API_KEY, [payment.clone()]));
        payment
    }

    /// Pushes every webhook due by now except those that `loses` selects. Returns the events that a
    /// run must report as missing.
    pub(crate) async fn push(
        &self,
        payments: &[SimulatedPayment],
        mut loses: impl FnMut(&PaymentWebhook) -> bool,
    ) -> LostEvents {
        let (mut arriving, mut lost) = (Vec::new(), LostEvents::new());
        for payment in payments {
            for webhook in payment
                .webhooks(&*self.clock)
                .into_iter()
                .filter(|webhook| webhook.at <= self.api_now())
            {
                if loses(&webhook) {
                    lost.extend(self.named_as(payment, &webhook));
                } else {
                    arriving.push(webhook);
                }
            }
        }
        let arrivals = arriving
            .iter()
            .enumerate()
            .map(|(number, webhook)| self.arrive(webhook, number));
        stream::iter(arrivals)
            .buffer_unordered(256)
            .for_each(|()| async {})
            .await;
        lost
    }

    /// Records a webhook. Of three, one is delivered, one was tried, and one was not.
    async fn arrive(&self, webhook: &PaymentWebhook, number: usize) {
        let (inbox, entry) = (&self.machine.inbox.inbox, self.entry(webhook));
        inbox.record(&entry).await.unwrap();
        if number.is_multiple_of(3) {
            return;
        }
        let now = self.now();
        let lease = Lease {
            id: LeaseId(1),
            until: now,
        };
        let claim = Claim {
            now,
            lease,
            first_backoff: Duration::from_secs(5),
        };
        let (row, fence) = inbox.claim(&entry.key, &claim).await.unwrap().unwrap();
        inbox
            .claim_event(&row.event().unwrap(), &entry.key, now.plus(90 * DAY))
            .await
            .unwrap();
        if number % 3 == 1 {
            inbox
                .mark(
                    &fence,
                    &Mark::Delivered {
                        expires_at: now.plus(90 * DAY),
                    },
                )
                .await
                .unwrap();
        }
    }

    fn entry(&self, webhook: &PaymentWebhook) -> Entry {
        let key = SigningKey::new(
            SenderKind::GOVUK_PAY,
            "1",
            &Secret::new(WEBHOOK_SECRET.to_owned()),
        );
        let signature = signature::sign(
            Sender::GovukPay,
            WEBHOOK_SECRET,
            webhook.body.signed.as_bytes(),
        );
        let body = webhook.body.wire.clone().into();
        let received = ReceiverTime::from_millis(webhook.at.as_millis());
        let signatures: &[&[u8]] = &[signature.as_bytes()];
        let verified = verify(SenderKind::GOVUK_PAY, &[key], signatures, body, received).unwrap();
        read(&self.source, verified, received, Acceptance(60 * DAY))
    }

    /// How a run must name a lost webhook, if it is overdue. Derived from the life of the payment
    /// alone.
    fn named_as(
        &self,
        payment: &SimulatedPayment,
        webhook: &PaymentWebhook,
    ) -> Option<(String, ExpectedEvent)> {
        let is_over = |at: Timestamp| at.plus(GRACE_PERIOD) <= self.api_now();
        let capture_failed = payment.lifecycle() == PaymentLifecycle::CaptureFailed;
        let failed_at = payment.created().plus(PaymentEvent::Captured.after());
        let what = match webhook.event {
            PaymentEvent::Succeeded if capture_failed && failed_at <= self.api_now() => {
                is_over(failed_at).then_some(ExpectedEvent::FailedOrSucceeded)
            }
            PaymentEvent::Succeeded => is_over(webhook.at).then_some(ExpectedEvent::Succeeded),
            PaymentEvent::Captured => {
                let submitted = payment.created().plus(CAPTURE_SUBMITTED);
                let day = Timestamp::parse(&format!("{}T00:00:00Z", &submitted.to_string()[..10]))
                    .unwrap();
                is_over(day.plus(DAY)).then_some(ExpectedEvent::Captured)
            }
            PaymentEvent::Refunded => {
                let looks = |run: &&Timestamp| {
                    **run >= webhook.at && payment.created().plus(GRACE_PERIOD) <= **run
                };
                let runs = self.runs.lock().unwrap();
                let seen = runs.iter().find(looks).copied();
                seen.is_some_and(is_over).then_some(ExpectedEvent::Refunded)
            }
            PaymentEvent::Failed if payment.lifecycle() == PaymentLifecycle::ProviderError => {
                is_over(webhook.at).then_some(ExpectedEvent::FailedOrSucceeded)
            }
            PaymentEvent::Failed => is_over(webhook.at).then_some(ExpectedEvent::Failed),
            PaymentEvent::Expired => is_over(webhook.at).then_some(ExpectedEvent::Expired),
        };
        what.filter(|_| is_over(payment.created()))
            .map(|what| (payment.id().to_owned(), what))
    }

    pub(crate) async fn run(&self) -> (RunEnd, PaymentsReport) {
        self.run_as(&RunOptions::default()).await
    }

    pub(crate) async fn run_by_hand(&self) -> (RunEnd, PaymentsReport) {
        self.run_as(&RunOptions {
            by_hand: true,
            ..RunOptions::default()
        })
        .await
    }

    pub(crate) async fn run_as(&self, options: &RunOptions) -> (RunEnd, PaymentsReport) {
        self.run_with(API_KEY, options).await
    }

    pub(crate) async fn run_with(
        &self,
        api_key: &str,
        options: &RunOptions,
    ) -> (RunEnd, PaymentsReport) {
        let (base_url, api_key) = (self.api.base_url().clone(), Secret::new(api_key.to_owned()));
        let access = SenderAccess::GovukPay(govuk_pay::PayAccess {
            base_url,
            api_key,
            every: minutes(30),
            after: GRACE_PERIOD,
            events: self.events.clone(),
        });
        if !options.dry_run && options.since.is_none() {
            self.runs.lock().unwrap().push(self.api_now());
        }
        let outcome = self
            .machine
            .run(&*self.clock, &self.source, &access, options)
            .await;
        let RunFindings::GovukPay(report) = outcome.found else {
            panic!("the call went to Pay")
        };
        (outcome.ended, report)
    }

    /// The observations that are recorded.
    pub(crate) async fn observations(&self) -> Vec<String> {
        let rows = self
            .rows()
            .await
            .into_iter()
            .filter(|row| row.origin == Origin::Pull);
        rows.map(|row| row.subject.unwrap()).collect()
    }

    /// How often each endpoint was called: searches, payments, events, refunds.
    pub(crate) fn counts(&self) -> [usize; 4] {
        let calls = self.api.calls();
        [
            PayEndpoint::Search,
            PayEndpoint::Payment,
            PayEndpoint::Events,
            PayEndpoint::Refunds,
        ]
        .map(|one| calls.to(one).len())
    }
}

/// What a report names.
pub(crate) fn named(report: &PaymentsReport) -> LostEvents {
    let named: LostEvents = report
        .missing
        .iter()
        .map(|one| (one.payment.as_str().to_owned(), one.what))
        .collect();
    assert_eq!(named.len(), report.missing.len(), "each once");
    named
}
