use std::sync::Arc;

use super::*;
use pillarbox::{
    inbox::{MemoryInbox, PageRequest, ReadInbox, ReceiveInbox},
    senders::example::{NOW, pay},
};

/// An inbox whose newest rows the test publishes.
struct TestFeed {
    inbox: MemoryInbox,
    snapshots: watch::Sender<LiveSnapshot>,
    recorded: u32,
}

impl TestFeed {
    fn new() -> Self {
        Self {
            inbox: MemoryInbox::default(),
            snapshots: watch::Sender::new(LiveSnapshot::Pending),
            recorded: 0,
        }
    }

    async fn record(&mut self, count: u32) {
        for _ in 0..count {
            self.recorded += 1;
            let mut entry = pay(
                &format!("m{}", self.recorded),
                "payment-1",
                "card_payment_captured",
                NOW,
            );
            entry.received_at = NOW.plus(Duration::from_secs(u64::from(self.recorded)));
            self.inbox.record(&entry).await.unwrap();
        }
    }

    async fn rows(&self) -> Vec<Row> {
        let page = PageRequest::first(FOLLOWED_ROWS);
        let listed = self.inbox.list(&RowFilter::default(), page).await.unwrap();
        listed.rows
    }

    async fn publish(&self) {
        let rows = Arc::new(self.rows().await);
        self.snapshots.send_replace(LiveSnapshot::Rows(rows));
    }

    /// A stream for a browser whose last event is `last`, after its first lines.
    async fn follow(&self, last: &str) -> LiveStream {
        let mut stream = LiveStream::new(
            self.snapshots.subscribe(),
            RowFilter::default(),
            LastEvent::parse(last),
            CancellationToken::new(),
        );
        assert_eq!(stream.next().await.unwrap(), "retry: 2000\n\n");
        let event = stream.next().await.unwrap();
        assert!(event.starts_with("event: heartbeat\n"));
        stream
    }
}

/// The names and keys of the next events, until there are no more.
async fn drain(stream: &mut LiveStream) -> String {
    let mut events = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), stream.next()).await {
        let name = event.lines().next().unwrap();
        let key = event.split_once("\"key\":\"pay:").map(|(_, rest)| rest);
        let key = key.and_then(|rest| rest.split('"').next()).unwrap_or("");
        let event = format!("{} {key}", &name["event: ".len()..]);
        events.push(event.trim().to_owned());
    }
    events.join(", ")
}

#[tokio::test(start_paused = true)]
async fn a_stream_sends_each_row_that_its_browser_does_not_have_once() {
    let mut feed = TestFeed::new();
    feed.record(3).await;
    let id = event_id(&feed.rows().await[1]);
    feed.publish().await;
    for (last, first, then) in [
        (id.as_str(), "new m3", "new m4"),
        ("0", "new m1, new m2, new m3, new m4", "new m5"),
        ("", "", "new m6"),
        ("nonsense", "", "new m7"),
    ] {
        let mut stream = feed.follow(last).await;
        assert_eq!(drain(&mut stream).await, first, "after `{last}`");
        feed.record(1).await;
        feed.publish().await;
        assert_eq!(drain(&mut stream).await, then, "after `{last}`");
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_removed_row_means_its_time_and_no_row_is_missed() {
    let mut feed = TestFeed::new();
    feed.record(3).await;
    feed.publish().await;
    let gone = event_id(&feed.rows().await[1]).replace("m2", "gone");
    let sent = drain(&mut feed.follow(&gone).await).await;
    assert_eq!(sent, "new m2, new m3", "both may be newer");
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_missed_rows_gets_one_event_to_reload_its_page() {
    let mut feed = TestFeed::new();
    feed.record(1).await;
    feed.publish().await;
    let id = event_id(&feed.rows().await[0]);
    let mut stream = feed.follow(&id).await;
    assert_eq!(drain(&mut stream).await, "");
    // A slow browser gets a snapshot without any row that it knows.
    feed.record(500).await;
    feed.publish().await;
    assert_eq!(drain(&mut stream).await, "reload");
    assert_eq!(drain(&mut feed.follow(&id).await).await, "reload");
    feed.record(1).await;
    feed.publish().await;
    assert_eq!(drain(&mut stream).await, "new m502");
}

#[tokio::test(start_paused = true)]
async fn a_changed_row_is_a_change_event_and_a_row_that_starts_to_match_is_new() {
    let mut feed = TestFeed::new();
    feed.record(1).await;
    feed.publish().await;
    let dead_only = RowFilter {
        state: Some(State::Dead),
        ..RowFilter::default()
    };
    let (receiver, stop) = (feed.snapshots.subscribe(), CancellationToken::new());
    let mut dead = LiveStream::new(receiver, dead_only, LastEvent::parse("0"), stop);
    dead.events.clear();
    let mut all = feed.follow("").await;
    assert_eq!(drain(&mut all).await, "");
    assert_eq!(drain(&mut dead).await, "");
    let mut rows = feed.rows().await;
    rows[0].state = State::Dead;
    let rows = Arc::new(rows);
    feed.snapshots.send_replace(LiveSnapshot::Rows(rows));
    assert_eq!(drain(&mut all).await, "change m1");
    assert_eq!(drain(&mut dead).await, "new m1");
    feed.publish().await;
    assert_eq!(drain(&mut dead).await, "change m1", "it no longer matches");
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_events_sends_a_heartbeat_every_15_seconds() {
    let feed = TestFeed::new();
    let mut stream = feed.follow("0").await;
    let began = tokio::time::Instant::now();
    let event = stream.next().await.unwrap();
    assert_eq!(event, "event: heartbeat\nid: 0~\ndata: {}\n\n");
    assert_eq!(began.elapsed().as_secs(), 15);
    stream.stop.cancel();
    assert_eq!(stream.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn changed_counts_of_a_table_are_a_reload_event_and_a_failure_is_sent_once() {
    let feed = TestFeed::new();
    let mut stream = feed.follow("0").await;
    for (snapshot, events) in [
        (LiveSnapshot::Counts("1 open".to_owned()), ""),
        (LiveSnapshot::Counts("2 open".to_owned()), "reload"),
        (LiveSnapshot::Failed, "failed"),
        (LiveSnapshot::Failed, ""),
        (LiveSnapshot::Counts("2 open".to_owned()), "heartbeat"),
    ] {
        feed.snapshots.send_replace(snapshot.clone());
        assert_eq!(drain(&mut stream).await, events, "{snapshot:?}");
    }
}
