//! Runs against receivers that answer whatever a test wants.

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
use crate::{Sender, Timestamp, sign};

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A request as a receiver hears it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Heard {
    line: String,
    signature: Option<String>,
    body: String,
}

impl Heard {
    fn id(&self) -> String {
        let value: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let id = value
            .get("webhook_message_id")
            .or_else(|| value.get("notificationId"));
        id.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn is_signed_with(&self, sender: Sender, secret: &str) -> bool {
        self.signature.as_deref() == Some(&sign::signature(sender, secret, self.body.as_bytes()))
    }
}

/// What a receiver does with a request: text to answer, or `None` to close without a word.
type Manners = Arc<dyn Fn(usize, &Heard) -> Option<String> + Send + Sync>;

/// A receiver, and everything it has heard whole, in order.
struct Receiver {
    url: Url,
    heard: Arc<Mutex<Vec<Heard>>>,
    broken_off: Arc<Mutex<usize>>,
}

impl Receiver {
    async fn new(
        manners: impl Fn(usize, &Heard) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/try", listener.local_addr().unwrap())).unwrap();
        let (heard, broken_off, manners): (_, _, Manners) =
            (Arc::default(), Arc::default(), Arc::new(manners));
        let receiver = Self {
            url,
            heard: Arc::clone(&heard),
            broken_off: Arc::clone(&broken_off),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, broken, manners) = (
                    Arc::clone(&heard),
                    Arc::clone(&broken_off),
                    Arc::clone(&manners),
                );
                tokio::spawn(async move { serve(stream, &heard, &broken, &manners).await });
            }
        });
        receiver
    }

    /// One that answers everything with `answer`.
    async fn answering(answer: &'static str) -> Self {
        Self::new(move |_, _| Some(answer.to_owned())).await
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn posts(&self) -> Vec<Heard> {
        self.heard()
            .into_iter()
            .filter(|heard| heard.line.starts_with("POST"))
            .collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    heard: &Mutex<Vec<Heard>>,
    broken_off: &Mutex<usize>,
    manners: &Manners,
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
            let mut heard = heard.lock().unwrap();
            heard.push(whole.clone());
            heard.len()
        };
        match manners(number, &whole) {
            Some(answer) if answer == "silence" => pending().await,
            Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
            None => return,
        }
    }
}

/// A request, once its body is complete.
fn whole(bytes: &[u8]) -> Option<Heard> {
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
    Some(Heard {
        line: head.lines().next().unwrap().to_owned(),
        signature: header("pay-signature").or_else(|| header("x-hub-signature")),
        body: String::from_utf8_lossy(body).into_owned(),
    })
}

fn status(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n")
}

/// A plan on a clock so fast that days pass in milliseconds.
fn plan(sender: Sender, receiver: &Receiver, count: u64) -> Plan {
    let now = Timestamp::parse("2026-11-25T08:00:00Z").unwrap();
    let mut plan = Plan::new(sender, receiver.url.clone(), SECRET.to_owned(), 7, now);
    (plan.count, plan.time_scale, plan.remembers) = (count, 10_000_000, true);
    plan
}

async fn played(plan: &Plan) -> Summary {
    run(plan, &|_| {}, pending()).await.unwrap()
}

fn fates(summary: &Summary) -> BTreeMap<String, u64> {
    summary
        .settled
        .iter()
        .map(|((what, fate), count)| (format!("{what} {fate}"), *count))
        .collect()
}

fn names(summary: &Summary) -> Vec<&'static str> {
    summary.faults_by_name.keys().copied().collect()
}

#[tokio::test]
async fn each_sender_goes_by_its_own_timetable_to_the_end() {
    let refuses = |answer: u16| move |_: usize, _: &Heard| Some(status(answer, ""));
    for (sender, answer, fate, posts) in [
        (Sender::GovukPay, 200, "acknowledged", 1),
        (Sender::GovukPay, 202, "acknowledged", 1),
        (Sender::GovukPay, 409, "failed", 6),
        (Sender::GovukPay, 503, "failed", 12),
        (Sender::GovukPay, 429, "failed", 12),
        (Sender::Hmrc, 200, "acknowledged", 1),
        (Sender::Hmrc, 202, "failed", 73),
        (Sender::Hmrc, 503, "failed", 73),
    ] {
        let receiver = Receiver::new(refuses(answer)).await;
        let summary = played(&plan(sender, &receiver, 1)).await;
        assert_eq!(
            fates(&summary),
            BTreeMap::from([(format!("notification {fate}"), 1)]),
            "{sender:?} {answer}"
        );
        let heard = receiver.posts();
        assert_eq!(heard.len(), posts, "{sender:?} {answer}");
        assert!(
            heard.iter().all(|again| *again == heard[0]),
            "the same bytes and signature every time"
        );
        assert_eq!(
            names(&summary),
            if fate == "failed" {
                vec!["given-up"]
            } else {
                vec![]
            }
        );
    }
}

#[tokio::test]
async fn a_closed_connection_is_hmrc_s_to_repeat_at_once_and_pay_s_to_count() {
    for (sender, copies) in [(Sender::Hmrc, 6 * 73), (Sender::GovukPay, 6)] {
        let receiver = Receiver::new(|_, _| None).await;
        let summary = played(&plan(sender, &receiver, 1)).await;
        assert_eq!(
            (receiver.posts().len(), names(&summary)),
            (copies, vec!["given-up"]),
            "{sender:?}"
        );
    }
}

#[tokio::test]
async fn a_failure_is_forgotten_once_a_later_attempt_is_taken() {
    let receiver =
        Receiver::new(|number, _| Some(status(if number < 4 { 503 } else { 200 }, ""))).await;
    let summary = played(&plan(Sender::GovukPay, &receiver, 1)).await;
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
async fn a_redirect_loses_a_message_where_a_get_is_taken_for_it_and_only_there() {
    for sender in Sender::ALL {
        for (redirect, get, post, fate) in [
            (302, 200, 200, "lost-by-redirect"),
            (301, 404, 404, "failed"),
            (307, 404, 200, "acknowledged"),
            (308, 200, 500, "failed"),
        ] {
            let receiver = Receiver::new(move |_, heard| {
                let there = heard.line.contains("/login");
                let answer = if heard.line.starts_with("GET") {
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
            let summary = played(&plan(sender, &receiver, 1)).await;
            assert_eq!(
                fates(&summary),
                BTreeMap::from([(format!("notification {fate}"), 1)]),
                "{sender:?} {redirect}"
            );
            let gets = receiver
                .heard()
                .into_iter()
                .filter(|heard| heard.line.starts_with("GET"));
            let mut gets = gets.map(|get| (get.body, get.signature.is_some()));
            assert!(gets.all(|get| get == (String::new(), sender == Sender::Hmrc)));
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_and_counts_as_a_loss() {
    let away = "HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example.com/\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::answering(away).await;
    assert_eq!(
        names(&played(&plan(Sender::GovukPay, &receiver, 1)).await),
        ["lost-by-redirect"]
    );
}

#[tokio::test]
async fn the_same_seed_sends_the_same_requests_in_the_same_order() {
    for sender in Sender::ALL {
        let mut sent = Vec::new();
        for seed in [7, 7, 8] {
            let receiver = Receiver::answering(OK).await;
            let mut plan = plan(sender, &receiver, 200);
            plan.chaos = Chaos {
                duplicate: 30,
                second_id: 30,
                reorder: true,
                wrong_key: 30,
                truncate: 30,
                ..Chaos::default()
            };
            (plan.seed, plan.threads) = (seed, 1);
            played(&plan).await;
            sent.push(receiver.posts().into_iter().collect::<BTreeSet<_>>());
        }
        assert!(sent[0].len() > 200);
        assert_eq!(sent[0], sent[1]);
        assert!(sent[0].is_disjoint(&sent[2]));
    }
}

#[tokio::test]
async fn reordered_messages_all_come_in_another_order_near_their_place() {
    let receiver = Receiver::answering(OK).await;
    let mut straight = plan(Sender::GovukPay, &receiver, 200);
    straight.threads = 1;
    played(&straight).await;
    let mut shuffled = straight;
    shuffled.chaos.reorder = true;
    played(&shuffled).await;
    let ids: Vec<String> = receiver.posts().iter().map(Heard::id).collect();
    let (straight, shuffled) = ids.split_at(200);
    assert_ne!(straight, shuffled);
    for (place, id) in shuffled.iter().enumerate() {
        let own = straight
            .iter()
            .position(|other| other == id)
            .expect("no message is missing");
        assert_eq!(own as u64 / REORDERED, place as u64 / REORDERED);
    }
}

#[tokio::test]
async fn every_twist_reaches_the_receiver_as_it_is_called() {
    let all = 100;
    for (chaos, what) in [
        (
            Chaos {
                duplicate: all,
                ..Chaos::default()
            },
            "notification acknowledged 40; 20 ids 40 posts 0 broken off",
        ),
        (
            Chaos {
                concurrent: all,
                ..Chaos::default()
            },
            "notification acknowledged 40; 20 ids 40 posts 0 broken off",
        ),
        (
            Chaos {
                second_id: all,
                ..Chaos::default()
            },
            "notification acknowledged 20, second-id acknowledged 20; 40 ids 40 posts 0 broken off",
        ),
        (
            Chaos {
                slow: all,
                ..Chaos::default()
            },
            "notification acknowledged 20; 20 ids 20 posts 0 broken off",
        ),
        (
            Chaos {
                wrong_key: all,
                ..Chaos::default()
            },
            "forged refused 20, notification acknowledged 20; 40 ids 40 posts 0 broken off",
        ),
        (
            Chaos {
                truncate: all,
                ..Chaos::default()
            },
            "notification acknowledged 20, truncated refused 20; 21 ids 40 posts 0 broken off",
        ),
    ] {
        let receiver = Receiver::new(|_, heard| {
            Some(status(
                if heard.is_signed_with(Sender::GovukPay, SECRET) {
                    200
                } else {
                    401
                },
                "",
            ))
        })
        .await;
        let mut plan = plan(Sender::GovukPay, &receiver, 20);
        plan.chaos = chaos;
        let summary = played(&plan).await;
        let fates: Vec<_> = fates(&summary)
            .into_iter()
            .map(|(fate, count)| format!("{fate} {count}"))
            .collect();
        let posts = receiver.posts();
        let ids: HashSet<String> = posts.iter().map(Heard::id).collect();
        let broken = *receiver.broken_off.lock().unwrap();
        let found = format!(
            "{}; {} ids {} posts {broken} broken off",
            fates.join(", "),
            ids.len(),
            posts.len()
        );
        assert_eq!(found, what);
        assert!(summary.faults.is_empty(), "{:?}", summary.faults);
    }
}

#[tokio::test]
async fn a_line_that_goes_dead_does_so_in_the_body_or_before_the_answer_and_the_message_comes_again()
 {
    let receiver = Receiver::answering(OK).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 40);
    plan.chaos.disconnect = 100;
    let summary = played(&plan).await;
    assert_eq!(
        (summary.abandoned, summary.genuine(Fate::Acknowledged)),
        (40, 40)
    );
    let whole = receiver.posts().len() - 40;
    let broken = *receiver.broken_off.lock().unwrap();
    assert_eq!(whole + broken, 40);
    assert!(whole > 5 && broken > 5, "{whole} {broken}");
}

#[tokio::test]
async fn a_receiver_that_takes_everything_is_told_which_forgeries_it_took() {
    let receiver = Receiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 20);
    plan.chaos = Chaos {
        wrong_key: 100,
        truncate: 100,
        ..Chaos::default()
    };
    let summary = played(&plan).await;
    assert_eq!(
        summary.faults_by_name,
        BTreeMap::from([("forgery-accepted", 40)])
    );
}

#[tokio::test]
async fn an_outage_is_outlasted_by_the_timetable_and_never_reaches_the_receiver() {
    // A clock of an hour a second is late by what this machine is: HMRC's twelve attempts may become fewer.
    for (sender, unreachable) in [(Sender::GovukPay, 3..=3), (Sender::Hmrc, 6..=12)] {
        let receiver = Receiver::answering(OK).await;
        let mut plan = plan(sender, &receiver, 1);
        (plan.time_scale, plan.chaos.outage) = (3_600, Duration::from_secs(59 * 60));
        let summary = played(&plan).await;
        assert_eq!(receiver.posts().len(), 1);
        assert!(
            unreachable.contains(&summary.outcomes["unreachable"]),
            "{sender:?} {summary:?}"
        );
        assert!(summary.faults.is_empty());
    }
}

#[tokio::test]
async fn after_half_of_the_messages_everything_is_signed_with_the_new_key() {
    let receiver = Receiver::answering(OK).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 20);
    (plan.threads, plan.rotate_to) = (1, Some("webhook_test_thenextone".to_owned()));
    played(&plan).await;
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

#[tokio::test]
async fn a_saved_url_is_challenged_first_and_brings_a_backlog_that_gets_one_attempt() {
    let echo = |heard: &Heard| {
        let challenge = heard
            .line
            .split_once("challenge=")
            .map_or("", |(_, rest)| &rest[..36])
            .to_owned();
        format!("HTTP/1.1 200 OK\r\ncontent-length: 52\r\n\r\n{{\"challenge\":\"{challenge}\"}}")
    };
    let receiver = Receiver::new(move |_, heard| {
        Some(if heard.line.starts_with("GET") {
            echo(heard)
        } else {
            status(500, "")
        })
    })
    .await;
    let mut plan = plan(Sender::Hmrc, &receiver, 10);
    plan.backlog = 8;
    let summary = played(&plan).await;
    assert!(receiver.heard()[0].line.starts_with("GET /try?challenge="));
    assert_eq!(receiver.posts().len(), 8 + 2 * 73);
    assert_eq!(summary.genuine(Fate::Failed), 10);

    let deaf = Receiver::answering(OK).await;
    plan.url = deaf.url.clone();
    assert_eq!(names(&played(&plan).await), ["challenge-refused"]);
    assert!(
        deaf.posts().is_empty(),
        "HMRC sends nothing to a URL it has refused"
    );
}

#[tokio::test]
async fn a_run_ends_in_time_or_when_it_is_told_to_and_names_what_was_left() {
    let receiver = Receiver::answering("silence").await;
    let mut plan = plan(Sender::Hmrc, &receiver, 3);
    plan.limit = Duration::from_millis(300);
    let summary = played(&plan).await;
    assert_eq!(
        (summary.ending, summary.undecided, names(&summary)),
        (Ending::OutOfTime, 3, vec!["undecided"])
    );

    plan.limit = Duration::from_secs(3600);
    let stop = tokio::time::sleep(Duration::from_millis(300));
    let summary = run(&plan, &|_| {}, stop).await.unwrap();
    assert_eq!((summary.ending, summary.undecided), (Ending::Stopped, 3));
}

#[tokio::test]
async fn a_sender_has_so_many_requests_under_way_unless_it_bursts() {
    for (burst, most) in [(false, 5), (true, 40)] {
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
                        if whole(&bytes).is_none() {
                            continue;
                        }
                        bytes.clear();
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
        let receiver = Receiver {
            url,
            heard: Arc::default(),
            broken_off: Arc::default(),
        };
        let mut plan = plan(Sender::GovukPay, &receiver, 40);
        (plan.threads, plan.chaos.burst) = (5, burst);
        assert_eq!(played(&plan).await.genuine(Fate::Acknowledged), 40);
        assert_eq!(under_way.lock().unwrap().1, most);
    }
}

#[tokio::test]
async fn what_is_recorded_is_what_was_sent_and_can_be_posted_again() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 60);
    plan.chaos.duplicate = 100;
    let recorder = capture::Recorder::create(folder.path()).unwrap();
    run(
        &plan,
        &|seen| {
            if let Seen::Exchanged(one) = seen {
                recorder.keep(&one).unwrap()
            }
        },
        pending(),
    )
    .await
    .unwrap();
    assert!(
        capture::Recorder::create(folder.path()).is_err(),
        "two runs in one folder would mix"
    );

    let again = Receiver::answering(OK).await;
    let captures = capture::read(folder.path(), Sender::Hmrc).unwrap();
    assert_eq!(captures.len(), 60, "each is read once");
    let mut replay = self::plan(Sender::Hmrc, &again, 0);
    replay.replay = captures;
    let summary = played(&replay).await;
    assert_eq!(
        fates(&summary),
        BTreeMap::from([("replayed acknowledged".to_owned(), 60)])
    );
    let set = |receiver: &Receiver| receiver.posts().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(&receiver), set(&again));
    assert!(
        capture::read(folder.path(), Sender::GovukPay).is_err(),
        "none of these is Pay's"
    );
    assert!(capture::read(&folder.path().join("none"), Sender::Hmrc).is_err());
}

#[tokio::test]
async fn nothing_is_sent_where_test_data_must_not_go() {
    let receiver = Receiver::answering(OK).await;
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
async fn a_backlog_is_hmrc_s_alone_and_takes_no_attempt_from_pay() {
    let receiver = Receiver::new(|_, _| Some(status(500, ""))).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 2);
    plan.backlog = 2;
    assert_eq!(played(&plan).await.genuine(Fate::Failed), 2);
    assert_eq!(receiver.posts().len(), 2 * 6);
}
