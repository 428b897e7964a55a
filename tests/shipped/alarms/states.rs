//! The states in which something is stuck: how each is caused, and how it is mended.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use pillarbox::{
    domain::{Clock, Key, SystemClock},
    inbox::{DiscardRequest, OperatorInbox},
};
use sender_simulator::apis::{
    pay_api::{PaymentLifecycle, SimulatedPayment},
    ppns::{BoxNotificationStatus, PpnsEndpoint, PpnsError},
};
use serde_json::{Value, json};
use test_support::{
    cloud::{AwsCall, CloudReply},
    fault_proxy::InjectedFault,
    fronts::{FrontRequest, LambdaFront},
    function::post,
    hmrc_box::BOX,
    message::{hmrc, pay},
    table,
};

use super::simulated_stack::{API_KEY, SimulatedStack, entry_failed};

type StackStep = for<'a> fn(&'a mut SimulatedStack) -> LocalBoxFuture<'a, ()>;

/// A step of a state: `step!(|stack| …)`, whose expression may await.
macro_rules! step {
    (|$stack:ident| $step:expr) => {
        |$stack| Box::pin(async { $step })
    };
}

/// A state, and the alarm that it raises.
pub(super) struct StuckState {
    /// The cause, for a reader of the table.
    pub(super) cause: &'static str,
    /// The alarm's logical id.
    pub(super) alarm: &'static str,
    /// Whether the datapoints are AWS's own and put there by the test, because nothing on this
    /// machine can produce them.
    pub(super) is_supplied: bool,
    pub(super) parameters: &'static [(&'static str, &'static str)],
    pub(super) happens: StackStep,
    /// The cause is repeated at this interval in minutes; zero for a state that lasts.
    pub(super) repeats_every: u64,
    /// The alarm fires within this many minutes.
    pub(super) fires_within: u64,
    pub(super) is_mended: StackStep,
    /// The alarm clears within this many minutes.
    pub(super) clears_within: u64,
}

const OBSERVED: StuckState = StuckState {
    cause: "",
    alarm: "",
    is_supplied: false,
    parameters: &[],
    happens: |_| Box::pin(async {}),
    repeats_every: 0,
    fires_within: 40,
    is_mended: |_| Box::pin(async {}),
    clears_within: 60,
};

const SUPPLIED: StuckState = StuckState {
    is_supplied: true,
    repeats_every: 1,
    ..OBSERVED
};

const REST: &[(&str, &str)] = &[("FrontDoor", "rest-waf")];
const URL: &[(&str, &str)] = &[("FrontDoor", "function-url")];
const PULL_HMRC: &[(&str, &str)] = &[("Reconcile", "on"), ("HmrcBoxes", BOX), ("Pay", "off")];
const PULL_PAY: &[(&str, &str)] = &[("Reconcile", "on")];

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Writes to the table fail, and receive answers 503.
const WRITES_FAIL: StuckState = StuckState {
    cause: "DynamoDB fails every write of a notification",
    alarm: "ReceiverFailing",
    happens: step!(|stack| {
        stack.inject("PutItem", InjectedFault::FailsBefore);
        assert_eq!(stack.post_new(&pay()).await, 503);
    }),
    repeats_every: 4,
    is_mended: step!(|stack| {
        stack.inject("", InjectedFault::None);
        assert_eq!(stack.post_new(&pay()).await, 200);
    }),
    ..OBSERVED
};

/// An answer takes long, and is a 200 all the same.
const SLOW_START: StuckState = StuckState {
    cause: "a cold start waits 4 s for DynamoDB, and then answers HMRC's challenge",
    alarm: "TooSlowForPay",
    happens: step!(|stack| {
        stack.inject("GetItem", InjectedFault::HangsBefore);
        stack.restart();
        let challenge = FrontRequest::new("GET", "/hmrc?challenge=1ed5f407");
        assert_eq!(stack.request(&challenge).await, 200);
        stack.inject("", InjectedFault::None);
    }),
    ..OBSERVED
};

fn has_secret(call: &AwsCall, name: &str) -> bool {
    let requested = call.body["SecretId"].as_str();
    requested.is_some_and(|arn| arn.contains(name))
}

fn holds(secret: Value) -> CloudReply {
    CloudReply::Done(json!({"SecretString": secret.to_string()}))
}

fn denied() -> CloudReply {
    CloudReply::Fault(400, "AccessDeniedException", "not allowed")
}

async fn discard(stack: &mut SimulatedStack, key: &str) {
    let now = SystemClock.now();
    let request = DiscardRequest {
        erase: false,
        now,
        expires_at: now.plus(HOUR),
    };
    let key = Key::parse(key).unwrap();
    stack.inbox.discard(&key, &request).await.unwrap();
    stack.run_anew();
}

pub(super) static STATES: &[StuckState] = &[
    WRITES_FAIL,
    StuckState {
        cause: "the same, behind the REST API",
        parameters: REST,
        ..WRITES_FAIL
    },
    StuckState {
        cause: "the same, behind a function URL",
        parameters: URL,
        ..WRITES_FAIL
    },
    StuckState {
        cause: "receive may not read GOV.UK Pay's secret, and has no earlier value",
        alarm: "ReceiverFailing",
        happens: step!(|stack| {
            stack.cloud_answers(|call| has_secret(call, "-PaySecret-").then(denied));
            assert_eq!(stack.post_new(&pay()).await, 503);
        }),
        repeats_every: 4,
        is_mended: step!(|stack| {
            stack.cloud_answers(|_| None);
            assert_eq!(stack.post_new(&pay()).await, 200);
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "receive is killed while it serves a request",
        alarm: "ReceiverFailing",
        happens: step!(|stack| {
            let now = SystemClock.now();
            let posted = post(&pay(), pay().message("killed", now));
            let event = LambdaFront::HttpApi.invocation(&posted, now);
            stack.crash("Receive", &event).await;
            stack.answered(500, Duration::from_millis(9));
        }),
        repeats_every: 4,
        ..OBSERVED
    },
    SLOW_START,
    StuckState {
        cause: "the same, behind the REST API",
        parameters: REST,
        ..SLOW_START
    },
    StuckState {
        cause: "the same, behind a function URL",
        parameters: URL,
        ..SLOW_START
    },
    StuckState {
        cause: "three POSTs to /hmrc, all signed with another secret",
        alarm: "HmrcAllSignaturesFailing",
        happens: step!(|stack| {
            for _ in 0..3 {
                assert_eq!(stack.post_forged(&hmrc()).await, 401);
            }
        }),
        repeats_every: 5,
        ..OBSERVED
    },
    StuckState {
        cause: "eleven POSTs to /hmrc signed with another secret, and one with ours",
        alarm: "HmrcSomeSignaturesFailing",
        happens: step!(|stack| {
            for _ in 0..11 {
                assert_eq!(stack.post_forged(&hmrc()).await, 401);
            }
            assert_eq!(stack.post_new(&hmrc()).await, 200);
        }),
        repeats_every: 5,
        ..OBSERVED
    },
    StuckState {
        cause: "three POSTs to /pay, all signed with another secret",
        alarm: "PayAllSignaturesFailing",
        happens: step!(|stack| {
            for _ in 0..3 {
                assert_eq!(stack.post_forged(&pay()).await, 401);
            }
        }),
        repeats_every: 5,
        ..OBSERVED
    },
    StuckState {
        cause: "eleven POSTs to /pay signed with another secret, and one with ours",
        alarm: "PaySomeSignaturesFailing",
        happens: step!(|stack| {
            for _ in 0..11 {
                assert_eq!(stack.post_forged(&pay()).await, 401);
            }
            assert_eq!(stack.post_new(&pay()).await, 200);
        }),
        repeats_every: 5,
        ..OBSERVED
    },
    StuckState {
        cause: "receive may not read HMRC's secret, and only GOV.UK Pay posts",
        alarm: "SecretUnreadable",
        happens: step!(|stack| {
            stack.cloud_answers(|call| has_secret(call, "-HmrcSecret-").then(denied));
            assert_eq!(stack.post_new(&pay()).await, 200);
        }),
        repeats_every: 5,
        is_mended: step!(|stack| stack.cloud_answers(|_| None)),
        clears_within: 120,
        ..OBSERVED
    },
    StuckState {
        cause: "HMRC's previous secret is a placeholder, which is refused",
        alarm: "SecretUnreadable",
        happens: step!(|stack| {
            stack.cloud_answers(|call| {
                let [current, previous] = [&hmrc().secrets[0], "placeholder"];
                has_secret(call, "-HmrcSecret-")
                    .then(|| holds(json!({"current": current, "previous": previous})))
            });
            assert_eq!(stack.post_new(&hmrc()).await, 200);
        }),
        repeats_every: 5,
        is_mended: step!(|stack| stack.cloud_answers(|_| None)),
        clears_within: 120,
        ..OBSERVED
    },
    StuckState {
        cause: "HMRC has not posted for 25 hours, with HmrcSilenceHours 24",
        alarm: "HmrcSilent",
        parameters: &[("HmrcSilenceHours", "24")],
        happens: step!(|stack| stack.last_received("hmrc", HOUR * 25).await),
        is_mended: step!(|stack| {
            stack.restart();
            assert_eq!(stack.post_new(&hmrc()).await, 200);
        }),
        clears_within: 120,
        ..OBSERVED
    },
    StuckState {
        cause: "GOV.UK Pay has not posted for 25 hours, with PaySilenceHours 24",
        alarm: "PaySilent",
        parameters: &[("PaySilenceHours", "24")],
        happens: step!(|stack| stack.last_received("pay", HOUR * 25).await),
        is_mended: step!(|stack| {
            stack.restart();
            assert_eq!(stack.post_new(&pay()).await, 200);
        }),
        clears_within: 120,
        ..OBSERVED
    },
    StuckState {
        cause: "Lambda throttles receive behind a function URL",
        alarm: "ReceiveThrottled",
        parameters: URL,
        happens: step!(|stack| {
            stack.supply_of_function("Receive", "Throttles", 1.0, "Count");
            stack.answered(429, Duration::from_millis(9));
        }),
        ..SUPPLIED
    },
    StuckState {
        cause: "81 of the 100 executions reserved for receive run",
        alarm: "ReceiveNearCap",
        parameters: &[("ReceiveConcurrency", "100")],
        happens: step!(|stack| {
            stack.supply_of_function("Receive", "ConcurrentExecutions", 81.0, "Count");
        }),
        ..SUPPLIED
    },
    StuckState {
        cause: "DynamoDB throttles a write to the table",
        alarm: "TableThrottled",
        happens: step!(|stack| {
            stack.supply_of_table("WriteThrottleEvents", &[], 1.0);
        }),
        ..SUPPLIED
    },
    StuckState {
        cause: "DynamoDB throttles a write to the index",
        alarm: "TableThrottled",
        happens: step!(|stack| {
            let index = [("GlobalSecondaryIndexName", "shelf")];
            stack.supply_of_table("WriteThrottleEvents", &index, 1.0);
        }),
        ..SUPPLIED
    },
    StuckState {
        cause: "process may not write to its log group",
        alarm: "LogsMissing",
        happens: |stack| Box::pin(stack.post_without_log("Process")),
        repeats_every: 10,
        fires_within: 100,
        is_mended: step!(|stack| {
            stack.unlogged.clear();
            assert_eq!(stack.post_new(&pay()).await, 200);
        }),
        clears_within: 120,
        ..OBSERVED
    },
    StuckState {
        cause: "receive may not write to its log group",
        alarm: "LogsMissing",
        happens: |stack| Box::pin(stack.post_without_log("Receive")),
        repeats_every: 10,
        fires_within: 100,
        is_mended: step!(|stack| {
            stack.unlogged.clear();
            assert_eq!(stack.post_new(&pay()).await, 200);
        }),
        clears_within: 120,
        ..OBSERVED
    },
    StuckState {
        cause: "the certificate has 29 days left",
        alarm: "CertificateExpiring",
        parameters: &[
            ("DomainName", "callbacks.service.gov.uk"),
            (
                "CertificateArn",
                "arn:aws:acm:eu-west-2:123456789012:certificate/0-0",
            ),
        ],
        happens: step!(|stack| stack.days_to_expiry = Some(29.0)),
        is_mended: step!(|stack| stack.days_to_expiry = Some(395.0)),
        clears_within: 26 * 60,
        repeats_every: 0,
        ..SUPPLIED
    },
    StuckState {
        cause: "the schedule of sweep is off",
        alarm: "SweeperDead",
        happens: step!(|stack| stack.stopped.push("Sweep")),
        is_mended: step!(|stack| stack.stopped.clear()),
        ..OBSERVED
    },
    StuckState {
        cause: "sweep may not query the index, and fails",
        alarm: "SweeperDead",
        happens: step!(|stack| stack.inject("Query", InjectedFault::FailsBefore)),
        is_mended: step!(|stack| stack.inject("", InjectedFault::None)),
        ..OBSERVED
    },
    StuckState {
        cause: "the bus is out of order, and a notification is 16 minutes old",
        alarm: "OldestOpen",
        happens: step!(|stack| {
            stack.cloud_answers(|call| {
                (call.target == "PutEvents").then(|| entry_failed("InternalFailure"))
            });
            let received = SystemClock.now().minus(Duration::from_secs(16 * 60));
            let event = "card_payment_captured";
            table::store(&stack.inbox, "old", "p1", event, received).await;
            stack.has_recorded();
        }),
        is_mended: step!(|stack| {
            stack.cloud_answers(|_| None);
            stack.replay(&Key::parse("pay:old").unwrap()).await;
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "the bus refuses an event for good",
        alarm: "Dead",
        happens: step!(|stack| {
            stack.cloud_answers(|call| {
                (call.target == "PutEvents").then(|| entry_failed("MalformedDetail"))
            });
            let body = pay().message("refused", SystemClock.now());
            assert_eq!(stack.request(&post(&pay(), body)).await, 200);
        }),
        is_mended: step!(|stack| {
            stack.cloud_answers(|_| None);
            stack.replay(&Key::parse("pay:refused").unwrap()).await;
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "a genuine POST has a date of 61 days ago",
        alarm: "Held",
        happens: step!(|stack| {
            let body = pay().message("stale", SystemClock.now().minus(HOUR * 24 * 61));
            assert_eq!(stack.request(&post(&pay(), body)).await, 200);
        }),
        is_mended: |stack| Box::pin(discard(stack, "pay:stale")),
        ..OBSERVED
    },
    StuckState {
        cause: "a genuine POST is no JSON",
        alarm: "Held",
        happens: step!(|stack| {
            assert_eq!(stack.request(&post(&hmrc(), "no JSON")).await, 200);
        }),
        is_mended: step!(|stack| {
            let key = hmrc().unreadable_key("no JSON");
            discard(stack, &key).await;
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "two genuine POSTs have one id and different content",
        alarm: "Conflict",
        happens: step!(|stack| {
            let now = SystemClock.now();
            for at in [now, now.minus(HOUR)] {
                let body = pay().message("twice", at);
                assert_eq!(stack.request(&post(&pay(), body)).await, 200);
            }
        }),
        is_mended: step!(|stack| {
            let key = stack.held_key().await;
            discard(stack, &key).await;
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "process does not read its stream for 16 minutes",
        alarm: "StreamBehind",
        happens: step!(|stack| {
            stack.stopped.push("Process");
            assert_eq!(stack.post_new(&pay()).await, 200);
            stack.pass(16).await;
            stack.stopped.clear();
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "process may not write to the table, and its batch is given up",
        alarm: "FailuresWaiting",
        happens: step!(|stack| {
            assert_eq!(stack.post_new(&pay()).await, 200);
            stack.inject("UpdateItem", InjectedFault::FailsBefore);
            assert_eq!(stack.stream().await.given_up, 1);
            stack.inject("", InjectedFault::None);
        }),
        is_mended: step!(|stack| stack.failures.clear()),
        ..OBSERVED
    },
    StuckState {
        cause: "the schedule of reconcile is off",
        alarm: "ReconcileNeverRan",
        parameters: PULL_PAY,
        happens: step!(|stack| stack.stopped.push("Reconciler")),
        is_mended: step!(|stack| stack.stopped.clear()),
        ..OBSERVED
    },
    StuckState {
        cause: "HMRC refuses our client secret",
        alarm: "HmrcPullFailing",
        parameters: PULL_HMRC,
        happens: step!(|stack| {
            stack.cloud_answers(|call| {
                let wrong = json!({"client_id": "wrong", "client_secret": "wrong"});
                has_secret(call, "-HmrcApiSecret-").then(|| holds(wrong))
            });
        }),
        is_mended: step!(|stack| stack.cloud_answers(|_| None)),
        ..OBSERVED
    },
    StuckState {
        cause: "HMRC refuses to acknowledge what it has had for hours",
        alarm: "HmrcPullFailing",
        parameters: PULL_HMRC,
        happens: step!(|stack| {
            let ppns = stack.fill_box_with(BoxNotificationStatus::Pending, 5);
            ppns.refuse_next(1, PpnsEndpoint::Acknowledge, PpnsError::UnknownParameter);
            stack.run_anew();
        }),
        is_mended: step!(|stack| {
            stack.stream().await;
            stack.run_anew();
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "a run's time is over before HMRC acknowledges what it has had for hours",
        alarm: "HmrcBoxBehind",
        parameters: PULL_HMRC,
        happens: step!(|stack| {
            let ppns = stack.fill_box_with(BoxNotificationStatus::Pending, 5);
            ppns.refuse_next(7, PpnsEndpoint::Acknowledge, PpnsError::Unavailable);
            stack.run_anew();
        }),
        is_mended: step!(|stack| {
            stack.fill_box_with(BoxNotificationStatus::Acknowledged, 0);
            stack.stream().await;
            stack.run_anew();
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "GOV.UK Pay refuses our API key",
        alarm: "PayPullFailing",
        parameters: PULL_PAY,
        happens: step!(|stack| {
            stack.pay_api.with(|accounts| accounts.close(API_KEY));
            stack.run_anew();
        }),
        is_mended: step!(|stack| {
            stack.pay_api.with(|accounts| accounts.open(API_KEY));
            stack.run_anew();
        }),
        ..OBSERVED
    },
    StuckState {
        cause: "GOV.UK Pay never posted that a payment failed, a day ago",
        alarm: "PayEventsMissing",
        parameters: PULL_PAY,
        happens: step!(|stack| {
            let clock = sender_simulator::SystemClock;
            let created = sender_simulator::Clock::now(&clock).minus(HOUR * 24);
            let payment = SimulatedPayment::new(PaymentLifecycle::Failed, created, &clock);
            stack
                .pay_api
                .with(|accounts| accounts.add(API_KEY, [payment]));
            stack.run_anew();
        }),
        is_mended: step!(|stack| stack.run_anew()),
        ..OBSERVED
    },
];
