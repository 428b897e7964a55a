//! Runs against receivers with scripted responses.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

use super::*;
use crate::{Sender, Timestamp, signature};

mod clients;

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A request as the receiver gets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ReceivedRequest {
    line: String,
    signature: Option<String>,
    cookie: Option<String>,
    body: String,
}

impl ReceivedRequest {
    fn id(&self) -> String {
        let value: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let id = value
            .get("webhook_message_id")
            .or_else(|| value.get("notificationId"));
        id.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn is_signed_with(&self, sender: Sender, secret: &str) -> bool {
        self.signature.as_deref() == Some(&signature::sign(sender, secret, self.body.as_bytes()))
    }
}

/// What the receiver does with a request.
#[derive(Clone, Debug)]
enum Reaction {
    Answer(String),
    /// It closes the connection after these bytes, in an orderly way.
    CloseAfter(String),
    /// It resets the connection after these bytes.
    ResetAfter(String),
    /// It keeps the connection open after these bytes, and sends nothing more.
    StallAfter(String),
}

/// A response, or `None` to close the connection.
impl From<Option<String>> for Reaction {
    fn from(answer: Option<String>) -> Self {
        answer.map_or_else(|| Self::CloseAfter(String::new()), Self::Answer)
    }
}

type ReactionFn = Arc<dyn Fn(usize, &ReceivedRequest) -> Reaction + Send + Sync>;

/// A receiver and its complete requests, in order.
struct TestReceiver {
    url: Url,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    broken_off: Arc<Mutex<usize>>,
}

impl TestReceiver {
    async fn new<R: Into<Reaction>>(
        respond: impl Fn(usize, &ReceivedRequest) -> R + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/try", listener.local_addr().unwrap())).unwrap();
        let respond: ReactionFn =
            Arc::new(move |number, received| respond(number, received).into());
        let (received, broken_off) = (Arc::default(), Arc::default());
        let receiver = Self {
            url,
            received: Arc::clone(&received),
            broken_off: Arc::clone(&broken_off),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (received, broken, respond) = (
                    Arc::clone(&received),
                    Arc::clone(&broken_off),
                    Arc::clone(&respond),
                );
                tokio::spawn(async move { serve(stream, &received, &broken, &respond).await });
            }
        });
        receiver
    }

    /// A receiver that answers every request with `answer`.
    async fn answering(answer: &'static str) -> Self {
        Self::new(move |_, _| Some(answer.to_owned())).await
    }

    fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }

    fn posts(&self) -> Vec<ReceivedRequest> {
        self.received()
            .into_iter()
            .filter(|received| received.line.starts_with("POST"))
            .collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    received: &Mutex<Vec<ReceivedRequest>>,
    broken_off: &Mutex<usize>,
    respond: &ReactionFn,
) {
    let mut bytes = Vec::new();
    loop {
        let whole = loop {
            if let Some(whole) = whole(&bytes) {
                break whole;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                *broken_off.lock().unwrap() += usize::from(!bytes.is_empty());
                return;
            }
        };
        bytes.clear();
        let number = {
            let mut received = received.lock().unwrap();
            received.push(whole.clone());
            received.len()
        };
        let reaction = respond(number, &whole);
        let (Reaction::Answer(answer)
        | Reaction::CloseAfter(answer)
        | Reaction::ResetAfter(answer)
        | Reaction::StallAfter(answer)) = &reaction;
        stream.write_all(answer.as_bytes()).await.unwrap();
        match reaction {
            Reaction::Answer(_) => {}
            Reaction::CloseAfter(_) => return,
            Reaction::ResetAfter(_) => return stream.set_zero_linger().unwrap(),
            Reaction::StallAfter(_) => pending().await,
        }
    }
}

/// A request, once its body is complete.
fn whole(bytes: &[u8]) -> Option<ReceivedRequest> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let header = |wanted: &str| {
        let mut pairs = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        pairs
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some(ReceivedRequest {
        line: head.lines().next().unwrap().to_owned(),
        signature: header("pay-signature").or_else(|| header("x-hub-signature")),
        cookie: header("cookie"),
        body: String::from_utf8_lossy(body).into_owned(),
    })
}

fn status(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n")
}

/// A plan on a clock so fast that days pass in milliseconds.
fn plan(sender: Sender, receiver: &TestReceiver, count: u64) -> RunPlan {
    let now = Timestamp::parse("2026-11-25T08:00:00Z").unwrap();
    let mut plan = RunPlan::new(sender, receiver.url.clone(), SECRET.to_owned(), 7, now);
    (plan.count, plan.time_scale, plan.keep_sent) = (count, 10_000_000, true);
    plan
}

async fn summary_of(plan: &RunPlan) -> RunSummary {
    run(plan, &|_| {}, pending()).await.unwrap()
}

fn outcomes(summary: &RunSummary) -> BTreeMap<String, u64> {
    summary
        .settled
        .iter()
        .map(|((kind, outcome), count)| (format!("{kind} {outcome}"), *count))
        .collect()
}

fn names(summary: &RunSummary) -> Vec<&'static str> {
    summary.faults_by_name.keys().copied().collect()
}

#[tokio::test]
async fn each_sender_follows_its_own_schedule_to_the_end() {
    let refuses = |answer: u16| move |_: usize, _: &ReceivedRequest| Some(status(answer, ""));
    for (sender, answer, outcome, posts) in [
        (Sender::GovukPay, 200, "acknowledged", 1),
        (Sender::GovukPay, 202, "acknowledged", 1),
        (Sender::GovukPay, 409, "failed", 6),
        (Sender::GovukPay, 503, "failed", 12),
        (Sender::GovukPay, 429, "failed", 12),
        (Sender::Hmrc, 200, "acknowledged", 1),
        (Sender::Hmrc, 202, "failed", 73),
        (Sender::Hmrc, 503, "failed", 73),
    ] {
        let receiver = TestReceiver::new(refuses(answer)).await;
        let summary = summary_of(&plan(sender, &receiver, 1)).await;
        assert_eq!(
            outcomes(&summary),
            BTreeMap::from([(format!("notification {outcome}"), 1)]),
            "{sender:?} {answer}"
        );
        let received = receiver.posts();
        assert_eq!(received.len(), posts, "{sender:?} {answer}");
        assert!(
            received.iter().all(|again| *again == received[0]),
            "the same bytes and signature every time"
        );
        assert_eq!(
            names(&summary),
            if outcome == "failed" {
                vec!["given-up"]
            } else {
                vec![]
            }
        );
    }
}

#[tokio::test]
async fn after_a_closed_connection_hmrc_repeats_at_once_and_pay_counts_a_failure() {
    for (sender, copies) in [(Sender::Hmrc, 6 * 73), (Sender::GovukPay, 6)] {
        let receiver = TestReceiver::new(|_, _| None::<String>).await;
        let summary = summary_of(&plan(sender, &receiver, 1)).await;
        assert_eq!(
            (receiver.posts().len(), names(&summary)),
            (copies, vec!["given-up"]),
            "{sender:?}"
        );
    }
}

#[tokio::test]
async fn a_failure_is_no_fault_once_a_later_attempt_is_accepted() {
    let receiver =
        TestReceiver::new(|number, _| Some(status(if number < 4 { 503 } else { 200 }, ""))).await;
    let summary = summary_of(&plan(Sender::GovukPay, &receiver, 1)).await;
    assert_eq!(
        (summary.requests, summary.retries, summary.reposts),
        (4, 1, 2)
    );
    assert_eq!(
        summary.outcomes,
        BTreeMap::from([("200".to_owned(), 1), ("503".to_owned(), 3)])
    );
    assert!(summary.faults.is_empty());
}

#[tokio::test]
async fn a_redirect_loses_a_message_only_if_a_get_succeeds() {
    for sender in Sender::ALL {
        for (redirect, get, post, outcome) in [
            (302, 200, 200, "lost-by-redirect"),
            (301, 404, 404, "failed"),
            (307, 404, 200, "acknowledged"),
            (308, 200, 500, "failed"),
        ] {
            let receiver = TestReceiver::new(move |_, received| {
                let there = received.line.contains("/login");
                let answer = if received.line.starts_with("GET") {
                    get
                } else {
                    post
                };
                Some(if there {
                    status(answer, "")
                } else {
                    status(redirect, "location: /login\r\n")
                })
            })
            .await;
            let summary = summary_of(&plan(sender, &receiver, 1)).await;
            assert_eq!(
                outcomes(&summary),
                BTreeMap::from([(format!("notification {outcome}"), 1)]),
                "{sender:?} {redirect}"
            );
            let gets = receiver
                .received()
                .into_iter()
                .filter(|received| received.line.starts_with("GET"));
            let mut gets = gets.map(|get| (get.body, get.signature.is_some()));
            assert!(gets.all(|get| get == (String::new(), sender == Sender::Hmrc)));
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_and_counts_as_a_loss() {
    let away = "HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example.com/\r\ncontent-length: \
                0\r\n\r\n";
    let receiver = TestReceiver::answering(away).await;
    assert_eq!(
        names(&summary_of(&plan(Sender::GovukPay, &receiver, 1)).await),
        ["lost-by-redirect"]
    );
}

#[tokio::test]
async fn the_same_seed_sends_the_same_requests_in_the_same_order() {
    for sender in Sender::ALL {
        let mut sent = Vec::new();
        for seed in [7, 7, 8] {
            let receiver = TestReceiver::answering(OK).await;
            let mut plan = plan(sender, &receiver, 200);
            plan.fault_rates = FaultRates {
                duplicate: 30,
                second_id: 30,
                reorder: true,
                wrong_key: 30,
                truncate: 30,
                ..FaultRates::default()
            };
            (plan.seed, plan.threads) = (seed, 1);
            summary_of(&plan).await;
            sent.push(receiver.posts().into_iter().collect::<BTreeSet<_>>());
        }
        assert!(sent[0].len() > 200);
        assert_eq!(sent[0], sent[1]);
        assert!(sent[0].is_disjoint(&sent[2]));
    }
}

#[tokio::test]
async fn reordered_messages_are_complete_and_near_their_position() {
    let receiver = TestReceiver::answering(OK).await;
    let mut straight = plan(Sender::GovukPay, &receiver, 200);
    straight.threads = 1;
    summary_of(&straight).await;
    let mut shuffled = straight;
    shuffled.fault_rates.reorder = true;
    summary_of(&shuffled).await;
    let ids: Vec<String> = receiver.posts().iter().map(ReceivedRequest::id).collect();
    let (straight, shuffled) = ids.split_at(200);
    assert_ne!(straight, shuffled);
    for (place, id) in shuffled.iter().enumerate() {
        let own = straight
            .iter()
            .position(|other| other == id)
            .expect("no message is missing");
        assert_eq!(own as u64 / REORDER_WINDOW, place as u64 / REORDER_WINDOW);
    }
}

/// A change of the fault rates, and the outcomes, ids and posts of 20 notifications with it.
type FaultCase = (fn(&mut FaultRates), &'static str);

const FAULT_CASES: [FaultCase; 6] = [
    (
        |rates| rates.duplicate = 100,
        "notification acknowledged 40; 20 ids 40 posts",
    ),
    (
        |rates| rates.concurrent = 100,
        "notification acknowledged 40; 20 ids 40 posts",
    ),
    (
        |rates| rates.second_id = 100,
        "notification acknowledged 20, second-id acknowledged 20; 40 ids 40 posts",
    ),
    (
        |rates| rates.slow = 100,
        "notification acknowledged 20; 20 ids 20 posts",
    ),
    (
        |rates| rates.wrong_key = 100,
        "forged refused 20, notification acknowledged 20; 40 ids 40 posts",
    ),
    (
        |rates| rates.truncate = 100,
        "notification acknowledged 20, truncated refused 20; 21 ids 40 posts",
    ),
];

#[tokio::test]
async fn every_injected_fault_reaches_the_receiver() {
    for (set_rate, expected) in FAULT_CASES {
        let receiver = TestReceiver::new(|_, received| {
            let is_signed = received.is_signed_with(Sender::GovukPay, SECRET);
            Some(status(if is_signed { 200 } else { 401 }, ""))
        })
        .await;
        let mut plan = plan(Sender::GovukPay, &receiver, 20);
        set_rate(&mut plan.fault_rates);
        let summary = summary_of(&plan).await;
        let outcomes = outcomes(&summary).into_iter();
        let outcomes: Vec<_> = outcomes
            .map(|(outcome, count)| format!("{outcome} {count}"))
            .collect();
        let posts = receiver.posts();
        let ids: HashSet<String> = posts.iter().map(ReceivedRequest::id).collect();
        let (outcomes, ids, posts) = (outcomes.join(", "), ids.len(), posts.len());
        assert_eq!(format!("{outcomes}; {ids} ids {posts} posts"), expected);
        assert_eq!(*receiver.broken_off.lock().unwrap(), 0);
        assert!(summary.faults.is_empty(), "{:?}", summary.faults);
    }
}

#[tokio::test]
async fn a_disconnect_is_in_the_body_or_before_the_response_and_the_message_is_sent_again() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 40);
    plan.fault_rates.disconnect = 100;
    let summary = summary_of(&plan).await;
    assert_eq!(
        (
            summary.abandoned,
            summary.count_genuine(DeliveryOutcome::Acknowledged)
        ),
        (40, 40)
    );
    let whole = receiver.posts().len() - 40;
    let broken = *receiver.broken_off.lock().unwrap();
    assert_eq!(whole + broken, 40);
    assert!(whole > 5 && broken > 5, "{whole} {broken}");
}

#[tokio::test]
async fn every_accepted_forgery_is_a_fault() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 20);
    plan.fault_rates = FaultRates {
        wrong_key: 100,
        truncate: 100,
        ..FaultRates::default()
    };
    let summary = summary_of(&plan).await;
    assert_eq!(
        summary.faults_by_name,
        BTreeMap::from([("forgery-accepted", 40)])
    );
}

#[tokio::test]
async fn the_schedule_outlasts_an_outage_and_no_request_reaches_the_receiver() {
    // A clock of an hour a second is late by what this machine is: HMRC's twelve attempts may
    // become fewer.
    for (sender, unreachable) in [(Sender::GovukPay, 3..=3), (Sender::Hmrc, 6..=12)] {
        let receiver = TestReceiver::answering(OK).await;
        let mut plan = plan(sender, &receiver, 1);
        (plan.time_scale, plan.fault_rates.outage) = (3_600, Duration::from_secs(59 * 60));
        let summary = summary_of(&plan).await;
        assert_eq!(receiver.posts().len(), 1);
        assert!(
            unreachable.contains(&summary.outcomes["unreachable"]),
            "{sender:?} {summary:?}"
        );
        assert!(summary.faults.is_empty());
    }
}

#[tokio::test]
async fn after_half_of_the_messages_all_are_signed_with_the_new_key() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 20);
    (plan.threads, plan.rotate_to) = (1, Some("webhook_test_thenextone".to_owned()));
    summary_of(&plan).await;
    let with = |secret| {
        receiver
            .posts()
            .iter()
            .filter(|post| post.is_signed_with(Sender::GovukPay, secret))
            .count()
    };
    let (old, new) = (with(SECRET), with("webhook_test_thenextone"));
    assert_eq!(old + new, 20);
    assert!(new >= 10, "{old} {new}");
}

/// The response to a challenge that HMRC accepts.
fn echo(received: &ReceivedRequest) -> String {
    let (_, rest) = received.line.split_once("challenge=").unwrap();
    let challenge = &rest[..36];
    format!("HTTP/1.1 200 OK\r\ncontent-length: 52\r\n\r\n{{\"challenge\":\"{challenge}\"}}")
}

#[tokio::test]
async fn a_saved_url_is_challenged_first_and_its_backlog_gets_one_attempt() {
    let receiver = TestReceiver::new(move |_, received| {
        Some(if received.line.starts_with("GET") {
            echo(received)
        } else {
            status(500, "")
        })
    })
    .await;
    let mut plan = plan(Sender::Hmrc, &receiver, 10);
    plan.backlog = 8;
    let summary = summary_of(&plan).await;
    assert!(
        receiver.received()[0]
            .line
            .starts_with("GET /try?challenge=")
    );
    assert_eq!(receiver.posts().len(), 8 + 2 * 73);
    assert_eq!(summary.count_genuine(DeliveryOutcome::Failed), 10);

    let deaf = TestReceiver::answering(OK).await;
    plan.url = deaf.url.clone();
    assert_eq!(names(&summary_of(&plan).await), ["challenge-refused"]);
    assert!(
        deaf.posts().is_empty(),
        "HMRC sends nothing to a URL it has refused"
    );
}

#[tokio::test]
async fn a_run_ends_at_its_limit_or_when_stopped_and_lists_undecided_messages() {
    let receiver = TestReceiver::new(|_, _| Reaction::StallAfter(String::new())).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 3);
    plan.limit = Duration::from_millis(300);
    let summary = summary_of(&plan).await;
    assert_eq!(
        (summary.ending, summary.undecided, names(&summary)),
        (RunEnding::OutOfTime, 3, vec!["undecided"])
    );

    plan.limit = Duration::from_secs(3600);
    let stop = tokio::time::sleep(Duration::from_millis(300));
    let summary = run(&plan, &|_| {}, stop).await.unwrap();
    assert_eq!((summary.ending, summary.undecided), (RunEnding::Stopped, 3));
}

#[tokio::test]
async fn a_sender_limits_its_concurrent_requests_except_in_a_burst() {
    for (sender, backlog, burst, most) in [
        (Sender::GovukPay, 0, false, 5),
        (Sender::GovukPay, 0, true, 40),
        (Sender::Hmrc, 0, true, 40),
        (Sender::Hmrc, 40, true, 10),
    ] {
        let under_way: Arc<Mutex<(usize, usize)>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/try", listener.local_addr().unwrap())).unwrap();
        let counted = Arc::clone(&under_way);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
                        let Some(received) = whole(&bytes) else {
                            continue;
                        };
                        bytes.clear();
                        if received.line.starts_with("GET") {
                            let echo = echo(&received);
                            stream.write_all(echo.as_bytes()).await.unwrap();
                            continue;
                        }
                        {
                            let mut counted = counted.lock().unwrap();
                            counted.0 += 1;
                            counted.1 = counted.1.max(counted.0);
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        counted.lock().unwrap().0 -= 1;
                        stream.write_all(OK.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let receiver = TestReceiver {
            url,
            received: Arc::default(),
            broken_off: Arc::default(),
        };
        let mut plan = plan(sender, &receiver, 40);
        (plan.threads, plan.fault_rates.burst, plan.backlog) = (5, burst, backlog);
        assert_eq!(
            summary_of(&plan)
                .await
                .count_genuine(DeliveryOutcome::Acknowledged),
            40
        );
        let under_way = under_way.lock().unwrap().1;
        assert_eq!(under_way, most, "{sender:?} {backlog} {burst}");
    }
}

#[tokio::test]
async fn each_planned_message_completes_once_whatever_its_faults_add() {
    let receiver = TestReceiver::answering(OK).await;
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(Sender::Hmrc, &receiver, 50);
    plan.fault_rates = Scenario::named("hostile").unwrap().fault_rates;
    (plan.fault_rates.lost, plan.fault_rates.duplicate) = (20, 100);
    let completed = Mutex::new(0);
    let recorder = capture::ExchangeRecorder::create(folder.path()).unwrap();
    let observe = |seen: RunEvent<'_>| match seen {
        RunEvent::Completed => *completed.lock().unwrap() += 1,
        RunEvent::Exchanged(exchange) => recorder.record(&exchange).unwrap(),
        _ => {}
    };
    let summary = run(&plan, &observe, pending()).await.unwrap();
    assert_eq!(*completed.lock().unwrap(), 50);
    assert!(
        summary.settled.values().sum::<u64>() > 50,
        "{:?}",
        summary.settled
    );

    let mut replay = self::plan(Sender::Hmrc, &receiver, 0);
    replay.replay = capture::read_captures(folder.path(), Sender::Hmrc).unwrap();
    *completed.lock().unwrap() = 0;
    let count = |seen: RunEvent<'_>| {
        *completed.lock().unwrap() += usize::from(matches!(seen, RunEvent::Completed));
    };
    run(&replay, &count, pending()).await.unwrap();
    assert_eq!(*completed.lock().unwrap(), replay.replay.len());
}

#[tokio::test(start_paused = true)]
async fn every_wait_for_the_next_attempt_begins_and_ends() {
    let receiver = TestReceiver::new(|number, _| {
        let line = if number > 3 { "200 OK" } else { "500 Error" };
        Some(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))
    })
    .await;
    let waits = Mutex::new(Vec::new());
    let observe = |seen: RunEvent<'_>| match seen {
        RunEvent::WaitBegan => waits.lock().unwrap().push("began"),
        RunEvent::WaitEnded => waits.lock().unwrap().push("ended"),
        _ => {}
    };
    let plan = plan(Sender::GovukPay, &receiver, 1);
    run(&plan, &observe, pending()).await.unwrap();
    assert_eq!(*waits.lock().unwrap(), ["began", "ended"].repeat(3));
}

#[tokio::test]
async fn recorded_requests_are_those_sent_and_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 60);
    plan.fault_rates.duplicate = 100;
    let recorder = capture::ExchangeRecorder::create(folder.path()).unwrap();
    run(
        &plan,
        &|seen| {
            if let RunEvent::Exchanged(one) = seen {
                recorder.record(&one).unwrap()
            }
        },
        pending(),
    )
    .await
    .unwrap();
    assert!(
        capture::ExchangeRecorder::create(folder.path()).is_err(),
        "two runs in one folder would mix"
    );

    let again = TestReceiver::answering(OK).await;
    let captures = capture::read_captures(folder.path(), Sender::Hmrc).unwrap();
    assert_eq!(captures.len(), 60, "each is read once");
    let mut replay = self::plan(Sender::Hmrc, &again, 0);
    replay.replay = captures;
    let summary = summary_of(&replay).await;
    assert_eq!(
        outcomes(&summary),
        BTreeMap::from([("replayed acknowledged".to_owned(), 60)])
    );
    let set = |receiver: &TestReceiver| receiver.posts().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(&receiver), set(&again));
    assert!(
        capture::read_captures(folder.path(), Sender::GovukPay).is_err(),
        "none of these is Pay's"
    );
    assert!(capture::read_captures(&folder.path().join("none"), Sender::Hmrc).is_err());
}

#[tokio::test]
async fn nothing_is_sent_to_a_url_that_must_not_receive_test_data() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 1);
    for url in [
        "http://receiver.example.gov.uk/",
        "https://a:b@receiver.example.gov.uk/",
        "https://localhost/#x",
    ] {
        plan.url = Url::parse(url).unwrap();
        assert!(run(&plan, &|_| {}, pending()).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_backlog_exists_only_with_hmrc_and_does_not_limit_pay() {
    let receiver = TestReceiver::new(|_, _| Some(status(500, ""))).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 2);
    plan.backlog = 2;
    assert_eq!(
        summary_of(&plan)
            .await
            .count_genuine(DeliveryOutcome::Failed),
        2
    );
    assert_eq!(receiver.posts().len(), 2 * 6);
}
