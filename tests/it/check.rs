//! Receivers are judged: each planted fault is found by name, and nothing is found where there is
//! none.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use sender_simulator::{
    Clock, Sender, Timestamp,
    check::{self, CheckFinding, CheckOptions, CheckReport, Grade},
};
use url::Url;

use test_support::{
    faulty::{FaultyReceiver, PlantedFault},
    manual_clock::sender_time,
    message::{hmrc, pay},
    server::{NOW, Server},
};

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// The instant of the server under test, and chance that can be repeated.
struct SeededRng(Mutex<u64>);

impl Clock for SeededRng {
    fn now(&self) -> Timestamp {
        sender_time(NOW)
    }

    fn random(&self) -> u64 {
        let mut seed = self.0.lock().unwrap();
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Never slow: a busy machine is not a fault of the receiver.
fn options() -> CheckOptions {
    CheckOptions {
        idle: Duration::from_millis(10),
        slow: Some(Duration::from_secs(60)),
        ..CheckOptions::default()
    }
}

async fn checked(url: &Url, sender: Sender, secret: &str, options: CheckOptions) -> CheckReport {
    let mut reported = Vec::new();
    let clock = SeededRng(Mutex::new(7));
    let report = check::check(url, sender, secret, &options, &clock, |finding| {
        reported.push(finding.clone())
    })
    .await
    .unwrap();
    assert_eq!(
        reported, report.findings,
        "every finding is reported immediately"
    );
    report
}

fn found(report: &CheckReport, grade: Grade) -> Vec<&str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.result == grade)
        .map(|finding| finding.id)
        .collect()
}

/// A fault, who meets it, and the findings that fail and that warn because of it.
type PlantedCase = (
    PlantedFault,
    &'static [Sender],
    &'static [&'static str],
    &'static [&'static str],
);

const HMRC: &[Sender] = &[Sender::Hmrc];
const PAY: &[Sender] = &[Sender::GovukPay];
const BOTH: &[Sender] = &Sender::ALL;

#[rustfmt::skip]
const PLANTED: &[PlantedCase] = &[
    (PlantedFault::Answers204, HMRC, &["accepted", "duplicate", "duplicate-at-once"], &[]),
    (PlantedFault::Answers204, PAY, &[], &["accepted", "duplicate", "duplicate-at-once",
        "same-event"]),
    (PlantedFault::Answers203, PAY, &["accepted", "duplicate", "duplicate-at-once", "same-event"],
        &[]),
    (PlantedFault::RedirectsToLogin, BOTH, &["redirect", "accepted"], &[]),
    (PlantedFault::ConflictsOnDuplicate, BOTH, &["duplicate", "duplicate-at-once"], &[]),
    (PlantedFault::LooksThenInserts, BOTH, &["duplicate-at-once"], &[]),
    (PlantedFault::ConflictsOnSameEvent, PAY, &["same-event"], &[]),
    (PlantedFault::AcceptsUnsigned, BOTH, &["unsigned"], &[]),
    (PlantedFault::AcceptsEmptySignature, BOTH, &["empty-signature"], &[]),
    (PlantedFault::AcceptsEmptyKey, BOTH, &["empty-key"], &[]),
    (PlantedFault::ComparesPrefix, BOTH, &["truncated-signature"], &[]),
    (PlantedFault::ComparesBeginning, BOTH, &["wrong-signature"], &[]),
    (PlantedFault::ChecksFormOnly, BOTH, &["wrong-signature", "empty-key", "altered-body",
        "respaced-body"], &["upper-case-signature"]),
    (PlantedFault::AcceptsUpperCase, BOTH, &[], &["upper-case-signature"]),
    (PlantedFault::AcceptsPrefix, BOTH, &[], &["prefixed-signature"]),
    (PlantedFault::TakesFirstSignature, BOTH, &[], &["two-signatures"]),
    (PlantedFault::AcceptsEitherAlgorithm, BOTH, &[], &["other-algorithm"]),
    (PlantedFault::Reserialises, BOTH, &["respaced-body", "raw-body"], &[]),
    (PlantedFault::RefusesOtherCharacters, HMRC, &["raw-characters"], &[]),
    (PlantedFault::RefusesOtherCharacters, PAY, &["raw-characters", "large-body"], &[]),
    (PlantedFault::RefusesAstral, HMRC, &["astral-characters"], &[]),
    (PlantedFault::Refuses422, BOTH, &[], &["odd-status"]),
    (PlantedFault::ThrowsOnLength, BOTH, &[], &["empty-signature", "truncated-signature",
        "prefixed-signature", "other-algorithm"]),
    (PlantedFault::Wants26Characters, PAY, &["short-ids"], &[]),
    (PlantedFault::WantsUuid, PAY, &["accepted", "opaque-ids"], &[]),
    (PlantedFault::WantsLowerCasePayment, PAY, &["accepted", "resource-type"], &[]),
    (PlantedFault::KnowsOneState, PAY, &["every-event", "null-fields"], &[]),
    (PlantedFault::KnowsFewEvents, PAY, &["unknown-event"], &[]),
    (PlantedFault::RefusesNulls, PAY, &["payment-kinds", "null-fields"], &[]),
    (PlantedFault::WantsEmail, PAY, &["payment-kinds"], &[]),
    (PlantedFault::RefusesMoreFields, BOTH, &["extra-fields"], &[]),
    (PlantedFault::RefusesOldDates, BOTH, &["old-date"], &[]),
    (PlantedFault::BreaksAtLineSeparators, BOTH, &["raw-characters"], &[]),
    (PlantedFault::WantsJsonMessage, HMRC, &["xml-message"], &[]),
    (PlantedFault::BlocksMarkup, HMRC, &["nested-message"], &[]),
    (PlantedFault::LimitsTo100KB, HMRC, &["large-body"], &[]),
    (PlantedFault::LimitsTo8KB, PAY, &["large-body"], &[]),
    (PlantedFault::Accepts202OnError, BOTH, &[], &["unreadable-body"]),
    (PlantedFault::CrashesOnUnreadable, BOTH, &[], &["unreadable-body"]),
    (PlantedFault::DiesOfUnreadable, BOTH, &["unreadable-body", "other-spellings", "bare-get",
        "keep-alive", "still-answers"], &[]),
    (PlantedFault::RedirectsTrailingSlash, BOTH, &["other-spellings"], &[]),
    (PlantedFault::RedirectsChallenge, HMRC, &["challenge-redirect"], &[]),
    (PlantedFault::AnswersGet, HMRC, &["bare-get"], &["challenge-malformed"]),
    (PlantedFault::AnswersGet, PAY, &["bare-get"], &[]),
    (PlantedFault::EchoesPlainText, HMRC, &["challenge-echo"], &["challenge-json",
        "challenge-query", "challenge-malformed", "challenge-html"]),
    (PlantedFault::ReflectsHtml, HMRC, &["challenge-html"], &["challenge-json",
        "challenge-malformed"]),
    (PlantedFault::TakesWholeQuery, HMRC, &[], &["challenge-query", "challenge-malformed"]),
    (PlantedFault::EchoesAnything, HMRC, &[], &["challenge-malformed"]),
    (PlantedFault::SetsCookie, HMRC, &[], &["set-cookie"]),
    (PlantedFault::SetsCookie, PAY, &["set-cookie"], &[]),
    (PlantedFault::CompressesWithBrotli, HMRC, &[], &[]),
    (PlantedFault::CompressesWithBrotli, PAY, &["content-encoding"], &[]),
    (PlantedFault::SendsRetryAfter, HMRC, &[], &["retry-after"]),
    (PlantedFault::SendsRetryAfter, PAY, &["retry-after"], &[]),
    (PlantedFault::ClosesEachConnection, BOTH, &[], &["keep-alive"]),
    (PlantedFault::ClosesIdleConnections, BOTH, &[], &["idle-connection"]),
    // A receiver that answers 200 and drops the message cannot be detected from outside.
    (PlantedFault::DropsUpperCasePayment, PAY, &[], &[]),
];

/// Checks that no planted fault causes; each has a separate test.
const ELSEWHERE: [&str; 11] = [
    "https",
    "port",
    "domain-name",
    "url-length",
    "live-domain",
    "reachable",
    "certificate",
    "tls-1-2",
    "tls-1-3",
    "secret",
    "answer-time",
];

/// Every check that is about the sender has its finding, once and in order.
fn is_complete(report: &CheckReport) {
    let ids: Vec<&str> = report.findings.iter().map(|finding| finding.id).collect();
    let order: Vec<&str> = check::checks()
        .map(|check| check.id)
        .filter(|id| ids.contains(id))
        .collect();
    assert_eq!(ids, order);
}

#[tokio::test]
async fn nothing_is_found_where_nothing_is_wrong() {
    let server = Server::start().await;
    for (sender, source) in [(Sender::Hmrc, hmrc()), (Sender::GovukPay, pay())] {
        let control = FaultyReceiver::start(sender, PlantedFault::Sound, SECRET).await;
        let ours = Url::parse(&format!("http://{}{}", server.address, source.path())).unwrap();
        for (url, secret) in [(control.url(), SECRET), (ours, &*source.secrets[0])] {
            let report = checked(&url, sender, secret, options()).await;
            for finding in &report.findings {
                let fine = matches!(finding.result, Grade::Passed | Grade::NotTried);
                assert!(fine, "{url}: {finding:?}");
            }
            is_complete(&report);
        }
    }
}

/// Plants every fault that `sender` meets.
async fn finds_each_by_name(sender: Sender) {
    for (fault, senders, failed, warned) in PLANTED {
        if !senders.contains(&sender) {
            continue;
        }
        let receiver = FaultyReceiver::start(sender, *fault, SECRET).await;
        let idle = if *fault == PlantedFault::ClosesIdleConnections {
            Duration::from_millis(500)
        } else {
            options().idle
        };
        let report = checked(
            &receiver.url(),
            sender,
            SECRET,
            CheckOptions { idle, ..options() },
        )
        .await;
        let seen = (
            found(&report, Grade::Failed),
            found(&report, Grade::Warning),
        );
        assert_eq!(
            seen,
            (failed.to_vec(), warned.to_vec()),
            "{sender:?} {fault:?}"
        );
        assert_eq!(report.is_sound(), failed.is_empty());
        is_complete(&report);
    }
}

#[tokio::test]
async fn each_fault_of_an_hmrc_receiver_is_found_by_name() {
    finds_each_by_name(Sender::Hmrc).await;
}

#[tokio::test]
async fn each_fault_of_a_pay_receiver_is_found_by_name() {
    finds_each_by_name(Sender::GovukPay).await;
}

#[test]
fn every_check_is_known_to_find_something() {
    let planted = PLANTED
        .iter()
        .flat_map(|(_, _, failed, warned)| failed.iter().chain(*warned));
    let mut known: Vec<&str> = planted.chain(&ELSEWHERE).copied().collect();
    known.sort_unstable();
    known.dedup();
    let mut checks: Vec<&str> = check::checks().map(|check| check.id).collect();
    checks.sort_unstable();
    assert_eq!(checks, known);
}

#[test]
fn every_check_has_one_row_in_the_documentation() {
    let page = include_str!("../../docs/check.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, rest)| {
            ["both | ", "HMRC | ", "Pay | "]
                .iter()
                .any(|who| rest.starts_with(who))
        });
    let mut documented: Vec<&str> = rows.map(|(id, _)| id).collect();
    documented.sort_unstable();
    let mut checks: Vec<&str> = check::checks().map(|check| check.id).collect();
    checks.sort_unstable();
    assert_eq!(documented, checks);
}

#[tokio::test]
async fn an_answer_after_three_seconds_is_too_late_for_pay_and_slow_for_hmrc() {
    for (sender, grade) in [
        (Sender::Hmrc, Grade::Warning),
        (Sender::GovukPay, Grade::Failed),
    ] {
        let receiver = FaultyReceiver::start(sender, PlantedFault::Slow, SECRET).await;
        let options = CheckOptions {
            limit: Duration::from_secs(5),
            slow: None,
            ..options()
        };
        let report = checked(&receiver.url(), sender, SECRET, options).await;
        assert_eq!(report.finding("answer-time").unwrap().result, grade);
        assert_eq!(
            report.finding("still-answers").unwrap().result,
            Grade::NotTried,
            "the time is over"
        );
        is_complete(&report);
    }
}

#[tokio::test]
async fn everything_that_is_stored_is_listed() {
    // A receiver that accepts too much, and one that refuses a copy of an accepted message.
    for fault in [
        PlantedFault::ChecksFormOnly,
        PlantedFault::ConflictsOnDuplicate,
    ] {
        for sender in Sender::ALL {
            let receiver = FaultyReceiver::start(sender, fault, SECRET).await;
            let report = checked(&receiver.url(), sender, SECRET, options()).await;
            let may_be = report
                .sent
                .iter()
                .filter(|sent| sent.may_be_stored())
                .map(|sent| sent.id.clone());
            let (listed, held): (BTreeSet<_>, BTreeSet<_>) =
                (may_be.collect(), receiver.held().into_iter().collect());
            assert!(held.len() > 15);
            assert_eq!(listed, held, "{sender:?} {fault:?}");
        }
    }
    let early =
        FaultyReceiver::start(Sender::GovukPay, PlantedFault::AcknowledgesFirst, SECRET).await;
    let report = checked(&early.url(), Sender::GovukPay, SECRET, options()).await;
    let lost = report
        .sent
        .iter()
        .filter(|sent| sent.status == Some(200) && !early.held().contains(&sent.id))
        .count();
    assert!(
        lost >= 1,
        "only the list shows a message that was acknowledged and not stored"
    );
    let dropping = FaultyReceiver::start(
        Sender::GovukPay,
        PlantedFault::DropsUpperCasePayment,
        SECRET,
    )
    .await;
    let report = checked(&dropping.url(), Sender::GovukPay, SECRET, options()).await;
    assert!(
        report.is_sound() && dropping.held().len() < report.sent.len() / 2,
        "{:?}",
        dropping.held()
    );
}

#[tokio::test]
async fn another_secret_is_one_finding_and_checks_that_need_the_secret_are_not_tried() {
    for sender in Sender::ALL {
        let receiver = FaultyReceiver::start(sender, PlantedFault::Sound, SECRET).await;
        let report = checked(
            &receiver.url(),
            sender,
            "webhook_test_another0another0another0",
            options(),
        )
        .await;
        assert_eq!(found(&report, Grade::Failed), ["secret"]);
        assert_eq!(found(&report, Grade::Warning), [""; 0]);
        let passed = found(&report, Grade::Passed);
        for tried in [
            "unsigned",
            "empty-signature",
            "wrong-signature",
            "empty-key",
            "other-spellings",
            "bare-get",
        ] {
            assert!(passed.contains(&tried), "{tried} {passed:?}");
        }
        for signed in [
            "accepted",
            "duplicate",
            "truncated-signature",
            "altered-body",
            "large-body",
            "still-answers",
        ] {
            assert_eq!(
                report.finding(signed).unwrap().result,
                Grade::NotTried,
                "{signed}"
            );
        }
        assert_eq!(receiver.held(), [""; 0]);
        is_complete(&report);
    }
}

#[tokio::test]
async fn a_nearly_correct_secret_is_named() {
    let bare = SECRET.rsplit_once('_').unwrap().1;
    let newline = format!("{SECRET}\n");
    for (sender, secret, words) in [
        (Sender::Hmrc, &*newline, "and a newline"),
        (Sender::GovukPay, &*newline, "and a newline"),
        (Sender::GovukPay, bare, "without its prefix"),
    ] {
        let receiver = FaultyReceiver::start(sender, PlantedFault::Sound, secret).await;
        let report = checked(&receiver.url(), sender, SECRET, options()).await;
        let finding = report.finding("secret").unwrap();
        assert!(
            finding.result == Grade::Failed && finding.seen.contains(words),
            "{finding:?}"
        );
    }
}

#[tokio::test]
async fn an_unreachable_receiver_is_a_finding_and_ends_the_run() {
    let closed_port = Url::parse("http://127.0.0.1:1/pay").unwrap();
    for sender in Sender::ALL {
        let report = checked(&closed_port, sender, SECRET, options()).await;
        assert_eq!(found(&report, Grade::Failed), ["reachable"]);
        assert!(report.sent.is_empty());
        assert!(
            found(&report, Grade::Passed)
                .iter()
                .all(|id| *id == "url-length")
        );
    }
}

#[tokio::test]
async fn a_url_that_no_receiver_can_have_is_refused_before_anything_is_sent() {
    let clock = SeededRng(Mutex::new(7));
    for (url, words) in [
        ("http://receiver.example.gov.uk/pay", "plain http"),
        ("https://user:password@localhost/pay", "user name"),
        ("https://localhost/pay#top", "#fragment"),
        ("ftp://localhost/pay", "ftp:"),
    ] {
        let url = Url::parse(url).unwrap();
        let found = |_: &CheckFinding| panic!("nothing is found");
        let refused = check::check(&url, Sender::GovukPay, SECRET, &options(), &clock, found)
            .await
            .unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test]
async fn a_report_contains_no_secret_signature_or_query() {
    let receiver = FaultyReceiver::start(Sender::Hmrc, PlantedFault::SetsCookie, SECRET).await;
    let mut url = receiver.url();
    url.set_query(Some("token=hush"));
    let report = checked(&url, Sender::Hmrc, SECRET, options()).await;
    for text in [report.json(), report.markdown()] {
        assert!(
            !text.contains(SECRET) && !text.contains("hush") && text.contains("token="),
            "{text}"
        );
        let is_hex =
            |word: &str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(
            !text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_hex),
            "{text}"
        );
    }
}
