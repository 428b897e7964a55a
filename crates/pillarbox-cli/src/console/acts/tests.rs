//! The forms that change notifications, and attacks on them.

use std::time::Duration;

use super::super::tests::{TestConsole, TestResponse, paid, settings};
use super::*;
use crate::console::ConsoleAccess;
use pillarbox::inbox::{AuditInbox, AuditOutcome, ReadInbox, ReceiveInbox};

async fn console_with(count: usize) -> TestConsole {
    let console = TestConsole::start_with(settings(ConsoleAccess::Changes)).await;
    for n in 0..count {
        console.inbox.record(&paid(&format!("m{n}"))).await.unwrap();
    }
    console
}

async fn stored(console: &TestConsole, key: &str) -> Row {
    let key = Key::parse(key).unwrap();
    console.inbox.get(&key).await.unwrap().unwrap()
}

async fn audited(console: &TestConsole) -> Vec<(String, u64, AuditOutcome)> {
    let entries = console.inbox.audit_entries(None, 100).await.unwrap();
    let describe = |entry: pillarbox::inbox::AuditEntry| {
        let what = format!("{} {}", entry.action.as_str(), entry.target);
        (what, entry.done, entry.outcome)
    };
    entries.into_iter().rev().map(describe).collect()
}

fn kill_all(console: &TestConsole) {
    console.tamper(
        "UPDATE notification SET state = 'dead', reason = 'budget spent', shelf = 'dead:0'",
    );
}

#[tokio::test]
async fn each_act_asks_for_confirmation_and_is_audited() {
    let console = console_with(1).await;
    for (act, state, has_bytes) in [
        ("replay", RowState::Recorded, true),
        ("discard", RowState::Discarded, true),
        ("erase", RowState::Discarded, false),
    ] {
        let confirmation = console.get(&format!("/notifications/pay:m0/{act}")).await;
        assert_eq!(confirmation.status, 200, "{act}");
        let form = format!("action=\"/acts/{act}\"");
        assert!(
            confirmation.shows(&form) && confirmation.shows("Cancel"),
            "{act}"
        );
        let done = console.submit(&format!("/acts/{act}"), "key=pay:m0").await;
        let location = format!("location: /notifications/pay%3am0?done={act}\r\n");
        assert_eq!(done.status, 303, "{act}");
        assert!(done.head.contains(&location), "{}", done.head);
        let row = stored(&console, "pay:m0").await;
        assert_eq!((row.state, row.body.is_some()), (state, has_bytes), "{act}");
        let page = format!("/notifications/pay:m0?done={act}");
        assert!(console.get(&page).await.shows("role=\"status\""), "{act}");
    }
    let done = |act: &str| (format!("{act} pay:m0"), 1, AuditOutcome::Done);
    let expected = [done("replay"), done("discard"), done("erase")];
    assert_eq!(audited(&console).await, expected);
    let trail = console.get("/audit").await;
    trail.assert_shows(&[
        "tester@example",
        "erase",
        "href=\"/notifications/pay%3Am0\"",
        "1 of 1",
    ]);
}

#[tokio::test]
async fn an_act_that_the_state_does_not_allow_is_neither_offered_nor_done() {
    let console = console_with(1).await;
    console.submit("/acts/discard", "key=pay:m0").await;
    let page = console.get("/notifications/pay:m0").await;
    assert!(page.shows("Replay: not now, because it was discarded"));
    let confirmation = console.get("/notifications/pay:m0/replay").await;
    assert!(confirmation.shows("it was discarded") && !confirmation.shows("/acts/replay"));
    let refused = console.submit("/acts/replay", "key=pay:m0").await;
    refused.assert_page(409, "it was discarded", "the reason");
    for fields in ["", "key=", "key=pay:none", "key=%3Cscript%3E"] {
        let answer = console.submit("/acts/replay", fields).await;
        assert_eq!(answer.status, 404, "{fields}");
        assert!(!answer.shows("<script>"), "{fields}");
    }
    let unknown = console.submit("/acts/vanish", "key=pay:m0").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn an_act_of_another_site_or_without_a_token_is_refused() {
    let console = console_with(1).await;
    let (at, csrf) = (console.at, console.csrf().await);
    let ours = format!("Origin: http://{at}\r\n");
    let cross = "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
    let without = "key=pay:m0&query=&expected=1&rate=0";
    let good = format!("csrf={csrf}&{without}");
    let wrong = format!("csrf={}&{without}", "0".repeat(64));
    for target in [
        "/acts/discard",
        "/acts/erase",
        "/acts/replay",
        "/acts/bulk",
        "/acts/stop",
        "/acts/sample",
        "/notifications/pay:m0/show",
        "/notifications/pay:m0/raw",
        "/notifications/pay:m0/event",
    ] {
        for (headers, body) in [
            ("Origin: http://evil.example\r\n", good.as_str()),
            ("Origin: null\r\n", &good),
            ("", &good),
            (cross, &good),
            (&ours, without),
            (&ours, &wrong),
        ] {
            let answer = console.post(target, headers, body).await;
            assert_eq!(answer.status, 403, "{target} {headers} {body}");
        }
        let get = console.get(target).await;
        assert!([404, 405].contains(&get.status), "{target}: {}", get.status);
        let length = good.len();
        let foreign = format!(
            "POST {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Origin: http://evil.example\r\nContent-Length: {length}\r\n\r\n{good}",
        );
        assert_eq!(console.send(&foreign).await.status, 421, "{target}");
    }
    let row = stored(&console, "pay:m0").await;
    assert_eq!(row.state, RowState::Recorded);
    assert_eq!(audited(&console).await, []);
}

#[tokio::test]
async fn a_read_only_console_changes_nothing() {
    let console = TestConsole::with(&[paid("m0")]).await;
    let form = "key=pay:m0&query=state%3Drecorded&expected=1&rate=0";
    let is_refused = |answer: &TestResponse| {
        assert!(answer.shows("--allow-changes"));
        answer.status == 403
    };
    for target in ["discard", "erase", "replay", "bulk", "stop", "sample"] {
        let answer = console.submit(&format!("/acts/{target}"), form).await;
        assert!(is_refused(&answer), "{target}");
    }
    assert!(is_refused(&console.get("/bulk?state=recorded").await));
    let row = stored(&console, "pay:m0").await;
    assert_eq!(row.state, RowState::Recorded);
    assert_eq!(audited(&console).await, []);
}

/// The page of an act on many, once it has ended.
async fn ended(console: &TestConsole, address: &str) -> TestResponse {
    for _ in 0..600 {
        let page = console.get(address).await;
        if !page.shows("under way") {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{address} has not ended")
}

fn location(answer: &TestResponse) -> String {
    let after = answer.head.split_once("location: ");
    let (_, after) = after.unwrap_or_else(|| panic!("{}", answer.text()));
    after.split('\r').next().unwrap().to_owned()
}

#[tokio::test]
async fn all_matching_rows_are_replayed_once_their_number_is_confirmed() {
    let console = console_with(30).await;
    kill_all(&console);
    let counted = console.get("/bulk?source=pay").await;
    counted.assert_shows(&[
        "Replay 30 notifications?",
        "name=\"expected\" value=\"30\"",
        "pay:m0<",
    ]);
    assert_eq!(audited(&console).await, [], "counting changes nothing");

    let form = "query=source%3Dpay&rate=0&expected=";
    let changed = console.submit("/acts/bulk", &format!("{form}29")).await;
    assert!(changed.status == 409 && changed.shows("that match have changed"));
    let row = stored(&console, "pay:m0").await;
    assert_eq!(row.state, RowState::Dead);

    let begun = console.submit("/acts/bulk", &format!("{form}30")).await;
    let end = ended(&console, &location(&begun)).await;
    assert!(end.shows("Replay: done"), "{}", end.text());
    assert!(end.shows("30 replayed, 0 left alone, 0 to go"));
    assert!(!end.head.contains("refresh: "), "{}", end.head);
    let row = stored(&console, "pay:m29").await;
    assert_eq!(row.state, RowState::Recorded);
    let scope = "replay --source pay --state dead,held".to_owned();
    assert_eq!(audited(&console).await, [(scope, 30, AuditOutcome::Done)]);
}

#[tokio::test]
async fn an_act_on_many_shows_its_progress_and_can_be_stopped() {
    let console = console_with(20).await;
    kill_all(&console);
    let form = "query=&rate=2&expected=20";
    let begun = console.submit("/acts/bulk", form).await;
    let address = location(&begun);
    let under_way = console.get(&address).await;
    under_way.assert_shows(&[
        "under way",
        "at most 2 a second",
        "action=\"/acts/stop\"",
        "<progress",
    ]);
    assert!(under_way.head.contains("refresh: 2\r\n"));
    let paused = console.get(&format!("{address}?updates=off")).await;
    assert!(!paused.head.contains("refresh: "));
    let second = console.submit("/acts/bulk", form).await;
    assert_eq!(second.status, 409, "one at a time, or other rows match");
    let id = address.strip_prefix("/bulk/").unwrap();
    let stop = console.submit("/acts/stop", &format!("id={id}")).await;
    assert_eq!(stop.status, 303);
    let end = ended(&console, &address).await;
    assert!(end.shows("Replay: stopped"), "{}", end.text());
    let audited = audited(&console).await;
    let (_, done, outcome) = &audited[0];
    assert_eq!(*outcome, AuditOutcome::Stopped);
    assert!(*done < 20, "{audited:?}");
    for id in ["", "0", "x", "<script>"] {
        let answer = console.submit("/acts/stop", &format!("id={id}")).await;
        assert_eq!(answer.status, 404, "{id}");
    }
}

#[tokio::test]
async fn only_the_notifications_of_one_subject_are_erased_together() {
    let console = console_with(2).await;
    for query in [
        "act=erase",
        "act=erase&source=pay",
        "act=erase&state=recorded",
    ] {
        let answer = console.get(&format!("/bulk?{query}")).await;
        assert_eq!(answer.status, 409, "{query}");
        let query = query.replace('=', "%3D").replace('&', "%26");
        let form = format!("query={query}&expected=2&rate=0");
        let answer = console.submit("/acts/bulk", &form).await;
        assert_eq!(answer.status, 409, "{query}");
    }
    let one = console.get("/bulk?act=erase&subject=payment-m1").await;
    assert!(one.shows("Erase 1 notification?"), "{}", one.text());
    let form = "query=act%3Derase%26subject%3Dpayment-m1&expected=1&rate=0";
    let begun = console.submit("/acts/bulk", form).await;
    ended(&console, &location(&begun)).await;
    assert_eq!(stored(&console, "pay:m1").await.body, None);
    assert!(stored(&console, "pay:m0").await.body.is_some());
}

#[tokio::test]
async fn an_invalid_rate_or_filter_is_refused() {
    let console = console_with(1).await;
    for (query, rate, status) in [
        ("state%3Dlost", "1", 400),
        ("", "fast", 409),
        ("", "-1", 409),
        ("", "99999999999", 409),
        ("act%3Dvanish", "0", 409),
    ] {
        let form = format!("query={query}&rate={rate}&expected=7");
        let answer = console.submit("/acts/bulk", &form).await;
        assert_eq!(answer.status, status, "{form}");
    }
}

#[tokio::test]
async fn only_the_demo_sends_samples() {
    let console = console_with(0).await;
    assert!(console.get("/samples").await.shows("Only the demo"));
    let form = "source=pay&event=captured";
    assert_eq!(console.submit("/acts/sample", form).await.status, 404);
    assert_eq!(audited(&console).await, []);
}
