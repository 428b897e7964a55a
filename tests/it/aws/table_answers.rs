//! A table's answers are believed only if AWS gave them: what answers 200 in its place stores
//! nothing, and nothing is acknowledged for it.

use pillarbox::{
    domain::{Clock, Key, SystemClock},
    inbox::{InboxError, ReadInbox, ReceiveInbox, Recorded},
};
use sender_simulator::Sender;
use serde_json::json;

use test_support::{
    cloud::{Cloud, CloudReply, variables},
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
        let cloud = Cloud::answering(move |_| answer.clone()).await;
        let inbox = table::inbox_at(&variables(&cloud.url()), "inbox");
        let recorded = inbox.record(&entry).await;
        assert_eq!(
            matches!(recorded, Ok(Recorded::First)),
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
