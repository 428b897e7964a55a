//! Lists and counts of rows.

use std::time::Duration;

use super::{TempInbox, summary};
use crate::sqlite::*;
use pillarbox::{
    domain::State,
    senders::example::{NOW, pay},
};

/// An index that covers the query is read alone, however long the rows are.
#[tokio::test]
async fn a_summary_counts_rows_without_reading_them() {
    let fresh = TempInbox::new();
    let plans = fresh.read(|db| {
        let plan = |sql: &str| {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let mut steps = explain.raw_query(); // no parameter is bound
            let step = steps.next()?.expect("a step of the plan");
            step.get::<_, String>(3)
        };
        let states = summary::COUNTING.map(plan);
        Ok(states.into_iter().collect::<Result<Vec<_>, _>>()?)
    });
    for plan in plans.await.unwrap() {
        assert!(plan.contains("USING COVERING INDEX"), "{plan}");
    }
}

#[tokio::test]
async fn arrivals_between_bounds_are_counted_even_if_rows_were_removed() {
    let inbox = TempInbox::new();
    let at = |second| NOW.plus(Duration::from_secs(second));
    for second in 1..=20 {
        let mut entry = pay(&format!("m{second}"), "p", "card_payment_captured", NOW);
        entry.received_at = at(second);
        inbox.record(&entry).await.unwrap();
    }
    let bounds = vec![at(0), at(5), at(5), at(15), at(30)];
    let counted = |counts: Vec<ArrivalCount>| {
        let counts = counts.iter().map(|count| (count.all, count.open));
        counts.collect::<Vec<_>>()
    };
    let counts = inbox.arrivals(bounds.clone()).await.unwrap();
    assert_eq!(counted(counts), [(4, 4), (0, 0), (10, 10), (6, 6)]);
    inbox.tamper("DELETE FROM notification WHERE id IN (3, 4, 5, 6, 20)");
    let counts = inbox.arrivals(bounds.clone()).await.unwrap();
    let open = counts.iter().map(|count| count.open).collect::<Vec<_>>();
    assert_eq!(open, [2, 0, 8, 5]);
    assert!(counts.iter().map(|count| count.all).sum::<u64>() >= 15);
    let empty = TempInbox::new();
    let counts = empty.arrivals(bounds).await.unwrap();
    assert_eq!(counted(counts), [(0, 0); 4]);
}

#[tokio::test]
async fn a_page_that_ends_early_has_a_next_page_and_no_row_is_missed() {
    let inbox = TempInbox::new();
    for nth in 0..25 {
        let event_type = if nth % 12 == 0 { "rare" } else { "usual" };
        let entry = pay(&format!("m{nth}"), "p", event_type, NOW);
        inbox.record(&entry).await.unwrap();
    }
    let rare = RowFilter {
        event_type: Some("rare".to_owned()),
        ..RowFilter::default()
    };
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut page = PageRequest::first(2);
    loop {
        let listed = inbox.list_within(&rare, page, 5).await.unwrap();
        let ids = listed
            .rows
            .iter()
            .map(|row| row.key.encoded_id().to_owned());
        found.extend(ids);
        pages += 1;
        let Some(next) = listed.next else { break };
        page = PageRequest {
            limit: 2,
            after: Some(next),
        };
    }
    assert_eq!((found.join(" ").as_str(), pages), ("m24 m12 m0", 5));
    let open = RowFilter {
        state: Some(State::Recorded),
        ..rare
    };
    let listed = inbox.list_within(&open, PageRequest::first(9), 5).await;
    let listed = listed.unwrap();
    assert_eq!((listed.rows.len(), listed.next), (3, None), "by the index");
}
