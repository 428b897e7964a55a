//! Lists: the newest first, page by page, by any filter.

use super::{dead, later, paid};
use crate::{
    domain::State,
    inbox::{Inbox, PageRequest, RowFilter},
    senders::{SenderKind, example::hmrc},
};

pub async fn lists_newest_first_page_by_page(inbox: &impl Inbox) {
    let entries = (0..7)
        .map(|number| paid(&format!("m{number}")))
        .chain([hmrc("n1", "1")]);
    for (mut entry, second) in entries.zip(1..) {
        entry.received_at = later(second);
        inbox.record(&entry).await.unwrap();
    }
    dead(inbox, &paid("m2").key).await;

    let pages = |filter: RowFilter, limit: usize| async move {
        let (mut keys, mut page) = (Vec::new(), PageRequest::first(limit));
        loop {
            let listed = inbox.list(&filter, page).await.unwrap();
            keys.extend(listed.rows.iter().map(|row| row.key.as_str().to_owned()));
            assert!(
                listed.rows.iter().all(|row| row.body.is_none()),
                "a list carries no bytes"
            );
            let Some(next) = listed.next else {
                return keys.join(" ");
            };
            page = PageRequest {
                limit,
                after: Some(next),
            };
        }
    };
    let source = |name: &str| RowFilter {
        source: Some(name.into()),
        ..RowFilter::default()
    };
    let state = |state| RowFilter {
        state: Some(state),
        ..RowFilter::default()
    };
    assert_eq!(
        pages(RowFilter::default(), 3).await,
        "hmrc:n1 pay:m6 pay:m5 pay:m4 pay:m3 pay:m2 pay:m1 pay:m0"
    );
    assert_eq!(
        pages(source("pay"), 7).await,
        "pay:m6 pay:m5 pay:m4 pay:m3 pay:m2 pay:m1 pay:m0"
    );
    assert_eq!(pages(source("hmrc"), 7).await, "hmrc:n1");
    assert_eq!(pages(source("pa"), 7).await, "");
    assert_eq!(pages(state(State::Dead), 7).await, "pay:m2");
    assert_eq!(pages(state(State::Held), 7).await, "");
    assert_eq!(
        pages(
            RowFilter {
                event_type: Some("notification".into()),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1"
    );
    assert_eq!(
        pages(
            RowFilter {
                subject: Some("50dca3fc".into()),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1"
    );
    assert_eq!(
        pages(
            RowFilter {
                since: Some(later(7)),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1 pay:m6"
    );
    assert_eq!(
        pages(
            RowFilter {
                since: Some(later(9)),
                ..RowFilter::default()
            },
            7
        )
        .await,
        ""
    );
    assert_eq!(
        pages(
            RowFilter {
                since: Some(later(6)),
                until: Some(later(7)),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "pay:m5"
    );
    assert_eq!(
        pages(
            RowFilter {
                kind: Some(SenderKind::HMRC),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1"
    );
}
