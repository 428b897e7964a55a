//! What is due: which rows a sweep finds, and in which order.

use super::{LEASE, claim_at, claimed, later, paid, recorded, row};
use crate::{
    inbox::{Inbox, MAX_BACKOFF, Mark, SourceFilter},
    senders::example::{NOW, hmrc},
};

pub async fn finds_due_rows_longest_due_first(inbox: &impl Inbox) {
    let (first, second) = (recorded(inbox, "a").await, recorded(inbox, "b").await);
    for (key, seconds) in [(&first, 20), (&second, 10)] {
        let fence = claimed(inbox, key, NOW, 1).await;
        inbox
            .mark(
                &fence,
                &Mark::Retry {
                    due_at: later(seconds),
                    error: String::new(),
                },
            )
            .await
            .unwrap();
    }
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(60), 10)
            .await
            .unwrap(),
        [second.clone(), first.clone()]
    );
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(15), 10)
            .await
            .unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(60), 1)
            .await
            .unwrap(),
        [second]
    );

    let third = recorded(inbox, "c").await;
    claimed(inbox, &third, NOW, 1).await;
    let due = inbox
        .find_due(&SourceFilter::ALL, NOW.plus(LEASE), 10)
        .await
        .unwrap();
    assert!(
        due.contains(&third) && due.len() == 3,
        "a lapsed lease excludes no row"
    );
}

pub async fn finds_due_rows_of_some_sources_and_not_of_others(inbox: &impl Inbox) {
    let (paid, filed) = (recorded(inbox, "a").await, hmrc("n1", "{}"));
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

/// A clock a day ahead received, claimed and put off rows, and then was set right.
pub async fn believes_no_date_that_only_a_wrong_clock_can_have_written(inbox: &impl Inbox) {
    const DAY: u64 = 24 * 60 * 60;
    let mut early = paid("received");
    early.received_at = later(DAY);
    inbox.record(&early).await.unwrap();
    let (claimed_key, retried) = (recorded(inbox, "claimed").await, recorded(inbox, "b").await);
    claimed(inbox, &claimed_key, later(DAY), 1).await;
    let fence = claimed(inbox, &retried, later(DAY), 1).await;
    let retry = Mark::Retry {
        due_at: later(DAY + 60),
        error: "503".into(),
    };
    inbox.mark(&fence, &retry).await.unwrap();
    let on_time = recorded(inbox, "on time").await;
    let fence = claimed(inbox, &on_time, NOW, 1).await;
    let retry = Mark::Retry {
        due_at: NOW.plus(MAX_BACKOFF),
        error: "503".into(),
    };
    inbox.mark(&fence, &retry).await.unwrap();

    let mut due = inbox.find_due(&SourceFilter::ALL, NOW, 10).await.unwrap();
    due.sort();
    let mut expected = [early.key.clone(), claimed_key, retried];
    expected.sort();
    assert_eq!(
        due, expected,
        "a date within the longest backoff is believed"
    );
    let one = inbox.find_due(&SourceFilter::ALL, NOW, 1).await.unwrap();
    assert_eq!(one.len(), 1);
    for (key, id) in expected.iter().zip(2..) {
        claimed(inbox, key, NOW, id).await;
        let row = row(inbox, key).await;
        assert!(row.due_at.unwrap() <= later(DAY), "{key} is not put off");
    }
    assert!(
        inbox
            .claim(&on_time, &claim_at(NOW, 9))
            .await
            .unwrap()
            .is_none(),
        "it is not due yet"
    );

    // Its budget began tomorrow, and would not end before that.
    let lapse = NOW.plus(LEASE);
    claimed(inbox, &early.key, lapse, 10).await;
    assert_eq!(row(inbox, &early.key).await.budget_from, lapse);
}
