//! Discards: a person discards a row, and its bytes are erased only on request.

use super::{
    claim, discard_at, expiry, later, mark_dead, mark_delivered, noise, paid, record_paid, row,
};
use crate::{
    domain::{Key, State},
    inbox::{DiscardOutcome, EventClaim, Inbox, Mark, MarkOutcome, RecordOutcome, ReplayOutcome},
    senders::{
        Entry, SenderKind,
        example::{NOW, entry, hmrc},
    },
};

/// A notification whose body is too long for its row.
fn long_hmrc(id: &str, status: &str) -> Entry {
    let noise = hex::encode(noise(40_000));
    let body = format!(
        r#"{{"notificationId":"{id}","boxId":"50dca3fc","messageContentType":"application/json",
            "message":"{noise}","status":"{status}",
            "createdDateTime":"2026-03-02T10:15:31.480+0000"}}"#
    );
    entry(SenderKind::HMRC, "hmrc", body.into())
}

async fn has_no_copy(inbox: &impl Inbox, key: &Key) {
    assert_eq!(inbox.body_copies(key).await.unwrap(), [], "{key}");
}

pub async fn discards_rows_and_erases_only_on_request(inbox: &impl Inbox) {
    let open = record_paid(inbox, "a").await;
    let keep = discard_at(0, false);
    assert_eq!(
        inbox.discard(&open, &keep).await.unwrap(),
        DiscardOutcome::Done
    );
    let discarded = row(inbox, &open).await;
    assert_eq!(
        (
            discarded.state,
            discarded.expires_at,
            discarded.body.is_some()
        ),
        (State::Discarded, Some(expiry(90)), true)
    );
    assert_eq!(inbox.body_copies(&open).await.unwrap().len(), 1);
    assert!(matches!(
        inbox.discard(&open, &keep).await.unwrap(),
        DiscardOutcome::Refused(_)
    ));
    for _ in 0..2 {
        let erase = discard_at(0, true);
        assert_eq!(
            inbox.discard(&open, &erase).await.unwrap(),
            DiscardOutcome::Done
        );
        let erased = row(inbox, &open).await;
        assert_eq!((erased.state, erased.body), (State::Discarded, None));
        has_no_copy(inbox, &open).await;
    }
    let unknown = paid("unknown").key;
    assert_eq!(
        inbox.discard(&unknown, &discard_at(0, true)).await.unwrap(),
        DiscardOutcome::Absent
    );
    has_no_copy(inbox, &unknown).await;
}

pub async fn refuses_to_discard_a_row_during_an_attempt(inbox: &impl Inbox) {
    let delivered = Mark::Delivered {
        expires_at: expiry(90),
    };
    let (first, second) = (record_paid(inbox, "a").await, record_paid(inbox, "b").await);
    for erase in [false, true] {
        let key = if erase { &first } else { &second };
        let fence = claim(inbox, key, NOW, 1).await;
        for seconds in [0, 149] {
            let discarded = inbox.discard(key, &discard_at(seconds, erase)).await;
            let DiscardOutcome::Refused(reason) = discarded.unwrap() else {
                panic!("a row was discarded during an attempt");
            };
            assert!(reason.contains("attempt"), "{reason}");
            assert_eq!(row(inbox, key).await.state, State::Recorded);
        }
        let after_lease = discard_at(150, erase);
        assert_eq!(
            inbox.discard(key, &after_lease).await.unwrap(),
            DiscardOutcome::Done
        );
        assert_eq!(
            inbox.mark(&fence, &delivered).await.unwrap(),
            MarkOutcome::Discarded
        );
        assert_eq!(row(inbox, key).await.state, State::Discarded);
    }

    let ahead = record_paid(inbox, "c").await;
    claim(inbox, &ahead, later(86_400), 1).await;
    assert_eq!(
        inbox.discard(&ahead, &discard_at(0, false)).await.unwrap(),
        DiscardOutcome::Done,
        "a lease that ends a day later was written by a wrong clock"
    );
}

async fn mark_repeat(inbox: &impl Inbox, key: &Key, of: &Key) {
    let fence = claim(inbox, key, NOW, 2).await;
    let mark = Mark::Repeat {
        of: of.clone(),
        expires_at: expiry(90),
    };
    inbox.mark(&fence, &mark).await.unwrap();
}

/// Erases a row, which keeps its reason and its digests.
async fn erase(inbox: &impl Inbox, key: &Key, reason: &str) {
    let before = row(inbox, key).await;
    assert_eq!(
        inbox.discard(key, &discard_at(0, true)).await.unwrap(),
        DiscardOutcome::Done
    );
    has_no_copy(inbox, key).await;
    let after = row(inbox, key).await;
    assert_eq!(
        (after.state, after.reason.as_deref(), after.body),
        (State::Discarded, Some(reason), None)
    );
    assert_eq!(
        (after.digest, after.content_digest, after.signature),
        (before.digest, before.content_digest, before.signature)
    );
}

pub async fn erases_rows_of_every_state_and_keeps_their_reasons(inbox: &impl Inbox) {
    let done = record_paid(inbox, "done").await;
    let repeat = record_paid(inbox, "repeat").await;
    let dead = record_paid(inbox, "dead").await;
    let event = row(inbox, &done).await.event().unwrap();
    inbox.claim_event(&event, &done, later(97)).await.unwrap();
    mark_delivered(inbox, &done).await;
    mark_repeat(inbox, &repeat, &done).await;
    mark_dead(inbox, &dead).await;
    let long = long_hmrc("long", "PENDING");
    inbox.record(&long).await.unwrap();
    mark_delivered(inbox, &long.key).await;
    let held = entry(SenderKind::GOVUK_PAY, "pay", noise(400_000));
    inbox.record(&held).await.unwrap();

    for key in [&done, &repeat, &long.key] {
        assert!(matches!(
            inbox.discard(key, &discard_at(0, false)).await.unwrap(),
            DiscardOutcome::Refused(reason) if reason.contains("--erase")
        ));
    }
    for (key, reason) in [
        (&done, "delivered"),
        (&repeat, "pay:done"),
        (&dead, "refused"),
        (&long.key, "delivered"),
        (&held.key, "unreadable"),
    ] {
        erase(inbox, key, reason).await;
        assert!(matches!(
            inbox.replay(key, NOW).await.unwrap(),
            ReplayOutcome::Refused(_)
        ));
    }
    for copy in [paid("done"), long, long_hmrc("long", "FAILED"), held] {
        assert_eq!(inbox.record(&copy).await.unwrap(), RecordOutcome::Duplicate);
        assert_eq!(row(inbox, &copy.key).await.body, None);
        has_no_copy(inbox, &copy.key).await;
    }
    assert_eq!(
        inbox.claim_event(&event, &repeat, later(97)).await.unwrap(),
        EventClaim::HeldBy(done),
        "the ledger is kept"
    );
}

pub async fn erases_a_conflict_and_the_first_row_separately(inbox: &impl Inbox) {
    for length in [10, 40_000] {
        let message = hex::encode(noise(length));
        let id = format!("n{length}");
        let first = hmrc(&id, &format!("first {message}"));
        let other = hmrc(&id, &format!("other {message}"));
        inbox.record(&first).await.unwrap();
        let RecordOutcome::Conflict(conflict) = inbox.record(&other).await.unwrap() else {
            panic!("other content is not a conflict");
        };
        let erase = discard_at(0, true);
        inbox.discard(&conflict, &erase).await.unwrap();
        has_no_copy(inbox, &conflict).await;
        assert_eq!(
            inbox.body_copies(&first.key).await.unwrap().len(),
            1,
            "only the first row's own body is under its key"
        );
        assert_eq!(
            inbox.record(&other).await.unwrap(),
            RecordOutcome::Duplicate
        );
        has_no_copy(inbox, &conflict).await;
        inbox.discard(&first.key, &erase).await.unwrap();
        assert_eq!(
            inbox.record(&first).await.unwrap(),
            RecordOutcome::Duplicate
        );
        has_no_copy(inbox, &first.key).await;
    }
}
