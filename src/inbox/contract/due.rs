//! Due rows: which rows a sweep finds, and in which order.

use super::{LEASE, claim, find_due, is_claimable, later, paid, record_paid, retry, row};
use crate::{
    inbox::{Inbox, MAX_BACKOFF, SourceFilter},
    senders::example::{NOW, hmrc},
};

pub async fn finds_due_rows_longest_due_first(inbox: &impl Inbox) {
    let (first, second) = (record_paid(inbox, "a").await, record_paid(inbox, "b").await);
    for (key, seconds) in [(&first, 20), (&second, 10)] {
        let fence = claim(inbox, key, NOW, 1).await;
        inbox.mark(&fence, &retry(later(seconds))).await.unwrap();
    }
    assert_eq!(
        find_due(inbox, later(60), 10).await,
        [second.clone(), first.clone()]
    );
    assert_eq!(
        find_due(inbox, later(15), 10).await,
        std::slice::from_ref(&second)
    );
    assert_eq!(find_due(inbox, later(60), 1).await, [second]);

    let third = record_paid(inbox, "c").await;
    claim(inbox, &third, NOW, 1).await;
    let due = find_due(inbox, NOW.plus(LEASE), 10).await;
    assert!(
        due.contains(&third) && due.len() == 3,
        "a row whose lease has expired is due"
    );
}

pub async fn finds_due_rows_of_the_given_sources(inbox: &impl Inbox) {
    let (paid, filed) = (record_paid(inbox, "a").await, hmrc("n1", "{}"));
    inbox.record(&filed).await.unwrap();
    for (sources, expected) in [
        (SourceFilter::ALL, vec![&filed.key, &paid]),
        (SourceFilter::Only("pay".into()), vec![&paid]),
        (SourceFilter::Only("pa".into()), vec![]),
        (SourceFilter::Except(vec!["pay".into()]), vec![&filed.key]),
        (
            SourceFilter::Except(vec!["pay".into(), "hmrc".into()]),
            vec![],
        ),
    ] {
        let mut due = inbox.find_due(&sources, NOW, 10).await.unwrap();
        due.sort(); // they are due at the same time
        assert_eq!(due.iter().collect::<Vec<_>>(), expected, "{sources:?}");
    }
}

/// While the clock was a day ahead, rows were received, claimed and retried.
pub async fn ignores_dates_that_only_a_wrong_clock_can_have_written(inbox: &impl Inbox) {
    const DAY: u64 = 24 * 60 * 60;
    let mut early = paid("received");
    early.received_at = later(DAY);
    inbox.record(&early).await.unwrap();
    let (claimed_key, retried) = (
        record_paid(inbox, "claimed").await,
        record_paid(inbox, "b").await,
    );
    claim(inbox, &claimed_key, later(DAY), 1).await;
    let fence = claim(inbox, &retried, later(DAY), 1).await;
    inbox.mark(&fence, &retry(later(DAY + 60))).await.unwrap();
    let not_due = record_paid(inbox, "not due").await;
    let fence = claim(inbox, &not_due, NOW, 1).await;
    let longest = NOW.plus(MAX_BACKOFF);
    inbox.mark(&fence, &retry(longest)).await.unwrap();

    let mut due = find_due(inbox, NOW, 10).await;
    due.sort();
    let mut expected = [early.key.clone(), claimed_key, retried];
    expected.sort();
    assert_eq!(
        due, expected,
        "a date within the longest backoff is trusted"
    );
    let one = find_due(inbox, NOW, 1).await;
    assert_eq!(one.len(), 1);
    for (key, id) in expected.iter().zip(2..) {
        claim(inbox, key, NOW, id).await;
        let row = row(inbox, key).await;
        assert!(row.due_at.unwrap() <= later(DAY), "{key}");
    }
    assert!(!is_claimable(inbox, &not_due, NOW).await);

    // The start of the budget was a day ahead, too.
    let lease_end = NOW.plus(LEASE);
    claim(inbox, &early.key, lease_end, 10).await;
    assert_eq!(row(inbox, &early.key).await.budget_from, lease_end);
}
