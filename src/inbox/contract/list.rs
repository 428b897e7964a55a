//! Lists: newest first, page by page, with every filter.

use super::{later, mark_dead, paid};
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
    mark_dead(inbox, &paid("m2").key).await;

    let list = async |filter: &RowFilter, limit: usize| {
        let (mut keys, mut page) = (Vec::new(), PageRequest::first(limit));
        loop {
            let listed = inbox.list(filter, page).await.unwrap();
            keys.extend(listed.rows.iter().map(|row| row.key.as_str().to_owned()));
            assert!(
                listed.rows.iter().all(|row| row.body.is_none()),
                "a list has no bytes"
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
    let all = RowFilter::default();
    assert_eq!(list(&all, 3).await, format!("hmrc:n1 {PAID}"));
    for (filter, keys) in filters() {
        assert_eq!(list(&filter, 7).await, keys, "{filter:?}");
    }
}

const PAID: &str = "pay:m6 pay:m5 pay:m4 pay:m3 pay:m2 pay:m1 pay:m0";

/// Filters, with the keys that each of them lists.
fn filters() -> Vec<(RowFilter, &'static str)> {
    type FilterChange = fn(&mut RowFilter);
    let filters: [(FilterChange, &str); 11] = [
        (|all| all.source = Some("pay".into()), PAID),
        (|all| all.source = Some("hmrc".into()), "hmrc:n1"),
        (|all| all.source = Some("pa".into()), ""),
        (|all| all.state = Some(State::Dead), "pay:m2"),
        (|all| all.state = Some(State::Held), ""),
        (|all| all.since = Some(later(7)), "hmrc:n1 pay:m6"),
        (|all| all.since = Some(later(9)), ""),
        (
            |all| (all.since, all.until) = (Some(later(6)), Some(later(7))),
            "pay:m5",
        ),
        (
            |all| all.event_type = Some("notification".into()),
            "hmrc:n1",
        ),
        (|all| all.subject = Some("50dca3fc".into()), "hmrc:n1"),
        (|all| all.kind = Some(SenderKind::HMRC), "hmrc:n1"),
    ];
    let with = |(change, keys): (FilterChange, _)| {
        let mut filter = RowFilter::default();
        change(&mut filter);
        (filter, keys)
    };
    filters.map(with).into()
}
