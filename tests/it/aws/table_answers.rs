//! A table's answers are believed only if AWS gave them: what answers 200 in its place stores
//! nothing, and nothing is acknowledged for it. And how many calls the measurement of stuck rows
//! makes.

use pillarbox::{
    delivery::sweep::GAUGE_ROWS,
    domain::{Clock, Key, SystemClock},
    inbox::{DeliveryInbox, InboxError, ReadInbox, ReceiveInbox, RecordOutcome},
};
use sender_simulator::Sender;
use serde_json::{Value, json};

use test_support::{
    cloud::{AwsCall, CloudReply, SimulatedAws, variables},
    table,
};

#[tokio::test]
async fn a_stored_item_is_believed_only_with_a_request_id() {
    let now = SystemClock.now();
    let body = format!(
        r#"{{"webhook_message_id":"m1","created_date":"{now}","resource_id":"p1","resource":{{}}}}"#
    );
    let entry = table::entry(Sender::GovukPay, body, now);
    for (reply, is_stored) in [
        (CloudReply::Done(json!({})), true),
        (CloudReply::Foreign(200, json!({})), false),
        (CloudReply::Foreign(204, json!({})), false),
        (CloudReply::Page(200), false),
        (
            CloudReply::Foreign(
                400,
                json!({"__type": "com.amazonaws.dynamodb#ConditionalCheckFailedException"}),
            ),
            false,
        ),
    ] {
        let answer = reply.clone();
        let cloud = SimulatedAws::answering(move |_| answer.clone()).await;
        let inbox = table::inbox_at(&variables(&cloud.url()), "inbox");
        let recorded = inbox.record(&entry).await;
        assert_eq!(
            matches!(recorded, Ok(RecordOutcome::First)),
            is_stored,
            "{reply:?}: {recorded:?}"
        );
        let read = inbox.get(&Key::parse("pay:m1").unwrap()).await;
        assert_eq!(matches!(read, Ok(None)), is_stored, "{reply:?}: {read:?}");
        if !is_stored {
            assert!(
                matches!(recorded, Err(InboxError::Unavailable(_))),
                "{reply:?}: {recorded:?}"
            );
        }
    }
}

/// Beside ten thousand rows that wait, as beside none: one query for each shard and state.
#[tokio::test]
async fn what_is_stuck_is_measured_with_a_bounded_number_of_queries_of_the_index_and_no_scan() {
    let now = SystemClock.now();
    let waiting = move |call: &AwsCall| {
        let query = &call.body;
        let limit = usize::try_from(query["Limit"].as_u64().unwrap()).unwrap();
        let row = |number: usize| {
            json!({
                "pk": {"S": format!("pay:{number}")},
                "due_at": {"N": now.as_millis().to_string()},
                "received_at": {"N": "1"},
                "event_type": {"S": "card_payment_captured"},
            })
        };
        let rows: Vec<Value> = (0..limit).map(row).collect();
        let more = json!({"Items": rows, "Count": limit, "LastEvaluatedKey": row(limit)});
        CloudReply::Done(more)
    };
    let empty = |_: &AwsCall| CloudReply::Done(json!({"Items": [], "Count": 0}));
    let (busy, idle) = (
        SimulatedAws::answering(waiting).await,
        SimulatedAws::answering(empty).await,
    );
    for (cloud, rows) in [(&busy, 16 * GAUGE_ROWS as u64), (&idle, 0)] {
        let inbox = table::inbox_at(&variables(&cloud.url()), "inbox");
        let gauges = inbox.pending_gauges(now, GAUGE_ROWS).await.unwrap();
        let counts = [gauges.open_rows, gauges.dead_rows, gauges.held_rows];
        assert_eq!(counts, [rows; 3]);
        let queries = cloud.calls("Query");
        assert_eq!((queries.len(), cloud.times()), (48, 48));
        for query in queries {
            let query = &query.body;
            assert_eq!(
                (&query["IndexName"], &query["Limit"]),
                (&json!("shelf"), &json!(100))
            );
        }
    }
}
