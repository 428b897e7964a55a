//! Signed messages of each sender, from their bytes to the event that a consumer gets.

use std::cell::RefCell;

use bytes::Bytes;
use pillarbox::{
    destinations::Event,
    domain::Key,
    inbox::{MemoryInbox, ReceiveInbox, RecordOutcome, StoredBody},
    senders::{SenderKind, example},
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::{
    requests::{HMRC_BODIES, PAY_BODIES},
    rows::check_row,
};

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Any bytes, signed by HMRC.
pub(super) fn hmrc(bytes: &[u8]) {
    store(SenderKind::HMRC, "hmrc", "notificationId", bytes);
}

/// Any bytes, signed by Pay.
pub(super) fn pay(bytes: &[u8]) {
    store(SenderKind::GOVUK_PAY, "pay", "webhook_message_id", bytes);
}

/// Stores a notification twice, and checks the row and its event.
fn store(kind: SenderKind, source: &str, id: &str, bytes: &[u8]) {
    let body = Bytes::copy_from_slice(bytes);
    let entry = example::entry(kind, source, body.clone());
    assert_eq!(Key::parse(entry.key.as_str()).as_ref(), Some(&entry.key));
    assert!(entry.key.as_str().len() <= 700, "{}", entry.key);
    let again = example::entry(kind, source, body.clone());
    assert_eq!(again.key, entry.key);
    let inbox = MemoryInbox::default();
    let (first, second) =
        block_on(async { (inbox.record(&entry).await, inbox.record(&again).await) });
    assert_eq!(first.ok(), Some(RecordOutcome::First));
    assert_eq!(second.ok(), Some(RecordOutcome::Duplicate));
    let stored = StoredBody::pack(&body);
    assert!(stored.bytes.len() <= body.len());
    assert_eq!(stored.unpack().ok().as_ref(), Some(&body));
    let rows = inbox.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].body.as_ref(), Some(&body));
    check_row(&rows[0]);
    let is_unreadable = rows[0].is_unreadable();
    if let (false, Ok(written)) = (is_unreadable, serde_json::from_slice::<Value>(bytes)) {
        let decoded = decoded(entry.key.encoded_id());
        assert_eq!(written[id].as_str().map(str::as_bytes), Some(&*decoded));
    }
    if entry.held.is_none() {
        Event::of(&rows[0]).expect("a recorded notification can be delivered");
    }
}

/// Decodes the percent-encoding of an id.
fn decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0);
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                decoded.push(u8::try_from(value(*high) * 16 + value(*low)).unwrap_or(0));
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with_borrow_mut(|runtime| {
        let new = || Builder::new_current_thread().build();
        let new = || new().expect("a runtime of one thread needs nothing");
        runtime.get_or_insert_with(new).block_on(work)
    })
}

/// Seeds of [`hmrc`].
pub(super) fn hmrc_seeds() -> Vec<Vec<u8>> {
    let dated = "2026-03-02T10:15:31.480+0000";
    let recent = HMRC_BODIES.map(|body| body.replace("2020-06-01T10:20:23.160+0000", dated));
    recent.map(String::into_bytes).into()
}

/// Seeds of [`pay`].
pub(super) fn pay_seeds() -> Vec<Vec<u8>> {
    PAY_BODIES.map(|body| body.as_bytes().to_vec()).into()
}
