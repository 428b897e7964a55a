use pillarbox::{
    domain::Key,
    inbox::{
        Claim, DeliveryInbox, Fence, KvEntry, KvKey, Lease, LeaseId, Mark, MemoryInbox,
        ReceiveInbox,
    },
    senders::{
        SenderKind,
        example::{NOW, entry, hmrc, pay},
    },
};

use super::*;

const DOCUMENT: &str = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n\
     [sources.pay.pull]\napi_key = \"env:KEY\"\n\
     [sources.hmrc]\nkind = \"hmrc\"\nsecrets = []\n";

fn scope(is_table: bool) -> OverviewScope {
    let mut scope = OverviewScope::of(&Config::read(DOCUMENT, "test").unwrap());
    scope.file = (!is_table).then(|| PathBuf::from("no such file"));
    scope
}

fn later(minutes: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(minutes * 60))
}

/// The clauses and the commands.
async fn needed(inbox: &MemoryInbox, is_table: bool, now: Timestamp) -> Vec<(String, String)> {
    let overview = Overview::read(inbox, &scope(is_table), now).await.unwrap();
    let needed = overview.needs_a_person().into_iter();
    needed.map(|one| (one.clause, one.command)).collect()
}

async fn claim(inbox: &MemoryInbox, key: &Key, now: Timestamp) -> Fence {
    let claim = Claim {
        now,
        lease: Lease {
            id: LeaseId(1),
            until: now.plus(Duration::from_secs(1)),
        },
        first_backoff: Duration::from_secs(1),
    };
    inbox.claim(key, &claim).await.unwrap().unwrap().1
}

#[tokio::test]
async fn an_overview_has_every_action_that_needs_a_person_and_its_list() {
    let inbox = MemoryInbox::default();
    assert_eq!(needed(&inbox, false, NOW).await, []);
    let unreadable = entry(SenderKind::GOVUK_PAY, "pay", "no JSON".into());
    let dead = pay("m1", "p1", "card_payment_captured", NOW);
    for entry in [&unreadable, &dead, &hmrc("n1", "{}")] {
        inbox.record(entry).await.unwrap();
    }
    let mark = Mark::Dead {
        reason: "refused".to_owned(),
        error: "https: status 422".to_owned(),
        at: NOW,
    };
    let fence = claim(&inbox, &dead.key, NOW).await;
    inbox.mark(&fence, &mark).await.unwrap();
    let expected = |clause: &str, command: &str| (clause.to_owned(), command.to_owned());
    let for_a_person = [
        expected("1 notification is dead", "list --state dead"),
        expected("1 notification is held", "list --state held"),
    ];
    assert_eq!(needed(&inbox, false, later(15)).await, for_a_person);
    let mut overdue = vec![expected(
        "1 notification waits for up to 16 min",
        "list --state open",
    )];
    overdue.extend(for_a_person);
    assert_eq!(needed(&inbox, false, later(16)).await, overdue);

    let overview = Overview::read(&inbox, &scope(false), later(16))
        .await
        .unwrap();
    let needed = overview.needs_a_person();
    let lists: Vec<_> = needed
        .iter()
        .map(|one| one.list.as_ref().unwrap().state)
        .collect();
    assert_eq!(
        lists,
        [Some(State::Recorded), Some(State::Dead), Some(State::Held)]
    );
    assert_eq!(overview.inbox.held_reasons.get("unreadable"), Some(&1));
}

/// The stored error is that of the last attempt; the attempts of several rows count together.
#[tokio::test]
async fn deliveries_that_fail_repeatedly_need_a_person_before_they_are_overdue() {
    for (attempts, expected) in [(3, None), (4, Some("the deliveries of pay fail"))] {
        let inbox = MemoryInbox::default();
        for id in ["m1", "m2"] {
            let entry = pay(id, "p1", "card_payment_captured", NOW);
            inbox.record(&entry).await.unwrap();
            for nth in 0..attempts {
                let now = NOW.plus(Duration::from_secs(nth));
                let fence = claim(&inbox, &entry.key, now).await;
                let mark = Mark::Retry {
                    due_at: now.plus(Duration::from_secs(1)),
                    error: "https: status 503".to_owned(),
                };
                inbox.mark(&fence, &mark).await.unwrap();
            }
        }
        let needed = needed(&inbox, false, later(1)).await;
        let clause = needed.first().map(|(clause, _)| clause.as_str());
        assert_eq!(clause, expected, "{attempts} attempts each");
    }
}

#[tokio::test]
async fn an_open_circuit_of_another_process_is_shown_for_five_minutes() {
    for (minutes, is_table, expected) in [
        (4, true, Some("the deliveries of hmrc fail")),
        (5, true, None),
        (16, false, None),
        (16, true, Some("the table was last swept 16 min ago")),
    ] {
        let inbox = MemoryInbox::default();
        let status = SweepStatus::new(NOW, vec!["hmrc".to_owned()]);
        inbox.record_sweep(&status, 1).await.unwrap();
        inbox.record_sweep(&status, 2).await.unwrap();
        let needed = needed(&inbox, is_table, later(minutes)).await;
        let clause = needed.first().map(|(clause, _)| clause.as_str());
        assert_eq!(clause, expected, "after {minutes} min");
    }
}

#[tokio::test]
async fn a_failed_reconcile_run_and_old_unacknowledged_notifications_need_a_person() {
    let at = NOW.as_millis();
    let hours_ago = |hours: i64| at - hours * 60 * 60 * 1000;
    let run = |failed: bool, oldest: Option<i64>| {
        let oldest = oldest.map_or_else(|| "null".to_owned(), |oldest| oldest.to_string());
        format!(
            "{{\"at\":{at},\"ended\":\"x\",\"failed\":{failed},\"recorded\":0,\"missing\":0,\
             \"troubles\":0,\"oldest\":{oldest}}}"
        )
    };
    for (text, expected) in [
        (run(false, Some(hours_ago(5))), None),
        (run(true, None), Some("reconcile pay --dry-run")),
        (run(false, Some(hours_ago(7))), Some("reconcile pay")),
    ] {
        let inbox = MemoryInbox::default();
        let next = KvEntry { version: 1, text };
        let key = KvKey::new("last", "pay");
        inbox.compare_and_swap(&key, None, &next).await.unwrap();
        let needed = needed(&inbox, false, NOW).await;
        let command = needed.first().map(|(_, command)| command.as_str());
        assert_eq!(command, expected);
    }
}

#[test]
fn the_first_sentence_has_a_clause_for_each_action() {
    for (words, expected) in [
        (&[][..], "Nothing needs you."),
        (&["a is dead"], "Something needs you: a is dead."),
        (&["a", "b", "c"], "Something needs you: a, b and c."),
    ] {
        let clauses: Vec<String> = words.iter().map(ToString::to_string).collect();
        assert_eq!(sentence(&clauses), expected);
    }
}

#[test]
fn a_capped_count_is_shown_as_more_than_the_cap() {
    for (rows, has_more, expected) in [
        (1, false, "1 notification is"),
        (2, false, "2 notifications are"),
        (10_000, false, "10,000 notifications are"),
        (10_000, true, "more than 10,000 notifications are"),
    ] {
        let summary = StateSummary {
            rows,
            has_more,
            oldest: None,
        };
        assert_eq!(notifications(&summary, "is", "are"), expected);
    }
}
