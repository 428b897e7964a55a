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
    let all = RowFilter::default();
    let mut filters = vec![];
    for (source, keys) in [("pay", PAID), ("hmrc", "hmrc:n1"), ("pa", "")] {
        let source = Some(source.into());
        filters.push((
            RowFilter {
                source,
                ..all.clone()
            },
            keys,
        ));
    }
    for (state, keys) in [(State::Dead, "pay:m2"), (State::Held, "")] {
        let state = Some(state);
        filters.push((
            RowFilter {
                state,
                ..all.clone()
            },
            keys,
        ));
    }
    for (since, until, keys) in [
        (7, None, "hmrc:n1 pay:m6"),
        (9, None, ""),
        (6, Some(7), "pay:m5"),
    ] {
        let (since, until) = (Some(later(since)), until.map(later));
        let filter = RowFilter {
            since,
            until,
            ..all.clone()
        };
        filters.push((filter, keys));
    }
    let of_type = RowFilter {
        event_type: Some("notification".into()),
        ..all.clone()
    };
    let of_box = RowFilter {
        subject: Some("50dca3fc".into()),
        ..all.clone()
    };
    let of_kind = RowFilter {
        kind: Some(SenderKind::HMRC),
        ..all
    };
    filters.extend([of_type, of_box, of_kind].map(|filter| (filter, "hmrc:n1")));
    filters
}
