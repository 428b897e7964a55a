//! The model table of the simulation and the table of the emulator, held to each other: the same
//! random operations on both have the same outcomes and leave the same rows.

use std::time::Duration;

use pillarbox::{
    aws::AwsService,
    domain::{HeldReason, Key, SourceName, Timestamp},
    inbox::{
        Claim, DeliveryInbox, DiscardRequest, Fence, Inbox, KvEntry, KvKey, Lease, LeaseId, Mark,
        MemoryInbox, OperatorInbox, PendingGauges, ReceiveInbox, ReconcileInbox, Row, SourceFilter,
        dynamodb::{DynamoInbox, TableSettings},
    },
    senders::{
        Entry, EventName,
        example::{NOW, hmrc, hmrc_pulled, observed, pay},
    },
};
use test_support::{pump::SeededRandom, table};

const SEQUENCES: u64 = 6;
const OPERATIONS: usize = 70;

/// Both inboxes, and the claims on each in the same order.
struct InboxPair {
    model: MemoryInbox,
    table: DynamoInbox,
    fences: Vec<(Fence, Fence)>,
    now: Timestamp,
    chance: SeededRandom,
}

/// Entries that meet: copies, other content under a taken id, an event under a second id.
fn entries() -> Vec<Entry> {
    vec![
        pay("m1", "p1", "card_payment_captured", NOW),
        pay("m2", "p1", "card_payment_captured", NOW),
        pay("m1", "p2", "card_payment_captured", NOW),
        pay("m1", "p3", "card_payment_captured", NOW),
        pay("m3", "p3", "card_payment_succeeded", NOW),
        hmrc("n1", "one"),
        hmrc("n1", "other"),
        hmrc_pulled("n1", "one"),
        hmrc(&"n".repeat(30), &"a long message ".repeat(2_000)),
        observed("p4"),
    ]
}

/// What can be compared of a row: the index is the table's own, and it keeps expiries in seconds.
fn facts(row: Option<Row>) -> Option<String> {
    let row = row?;
    let Row {
        key,
        body,
        state,
        reason,
        attempts,
        lease,
        budget_from,
        last_error,
        due_at,
        expires_at,
        ..
    } = row;
    let expires_at = expires_at.map(|at| at.plus(Duration::from_millis(999)).as_seconds());
    let due_at = due_at.filter(|_| state.index_partition().is_some());
    Some(format!(
        "{key} {state} {reason:?} {attempts} {lease:?} {budget_from} {last_error:?} {due_at:?} \
         {expires_at:?} {:?}",
        body.map(|body| body.len()),
    ))
}

async fn row_of(inbox: &impl Inbox, key: &Key) -> Option<String> {
    facts(inbox.get(key).await.unwrap())
}

async fn due(inbox: &impl Inbox, now: Timestamp) -> Vec<Key> {
    let mut due = inbox.find_due(&SourceFilter::ALL, now, 100).await.unwrap();
    due.sort();
    due
}

impl InboxPair {
    async fn new(seed: u64) -> Self {
        let settings = TableSettings {
            table: table::unique("model"),
            shards: 4,
            first_due: Duration::ZERO,
            retention: Duration::from_secs(90 * 24 * 60 * 60),
        };
        let aws = table::aws(&table::variables());
        let table = DynamoInbox::new(&aws.config(AwsService::DynamoDb), settings);
        table.init().await.unwrap();
        Self {
            model: MemoryInbox::default(),
            table,
            fences: Vec::new(),
            now: NOW,
            chance: SeededRandom::new(seed),
        }
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let index = self.chance.below(of.len() as u64);
        of[usize::try_from(index).unwrap()].clone()
    }

    /// One operation on both, with its outcomes.
    async fn step(&mut self, entries: &[Entry], keys: &[Key]) -> (String, String, String) {
        let entry = self.pick(entries);
        let key = self.pick(keys);
        let (model, table) = (&self.model, &self.table);
        let pair = |name: &str, one: String, other: String| (format!("{name} {key}"), one, other);
        match self.chance.below(11) {
            0..=2 => pair(
                &format!("record {}", entry.key),
                format!("{:?}", model.record(&entry).await),
                format!("{:?}", table.record(&entry).await),
            ),
            3 | 4 => {
                let claim = Claim {
                    now: self.now,
                    lease: Lease {
                        id: LeaseId(self.chance.below(u64::MAX)),
                        until: self.now.plus(Duration::from_secs(150)),
                    },
                    first_backoff: Duration::from_secs(5),
                };
                let one = self.model.claim(&key, &claim).await.unwrap();
                let other = self.table.claim(&key, &claim).await.unwrap();
                if let (Some((_, one)), Some((_, other))) = (&one, &other) {
                    self.fences.push((one.clone(), other.clone()));
                }
                let text = |claimed: Option<(Row, Fence)>| {
                    let claimed = claimed.map(|(row, fence)| (facts(Some(row)), fence.attempt));
                    format!("{claimed:?}")
                };
                (format!("claim {key}"), text(one), text(other))
            }
            5 | 6 if !self.fences.is_empty() => {
                // Once: a table takes the same mark again for its own, whose reply was lost.
                let index = self.chance.below(self.fences.len() as u64);
                let (one, other) = self.fences.remove(usize::try_from(index).unwrap());
                let expires_at = self.now.plus(Duration::from_secs(7_776_000));
                let mark = match self.chance.below(5) {
                    0 => Mark::Delivered { expires_at },
                    1 => Mark::Repeat {
                        of: key.clone(),
                        expires_at,
                    },
                    2 => Mark::Retry {
                        due_at: self.now.plus(Duration::from_secs(self.chance.below(900))),
                        error: "down".to_owned(),
                    },
                    3 => Mark::Dead {
                        reason: "refused".to_owned(),
                        error: "status 422".to_owned(),
                        at: self.now,
                    },
                    _ => Mark::Held {
                        reason: HeldReason::Unsigned,
                        at: self.now,
                    },
                };
                let one = self.model.mark(&one, &mark).await;
                let other = self.table.mark(&other, &mark).await;
                (
                    format!("{mark:?}"),
                    format!("{one:?}"),
                    format!("{other:?}"),
                )
            }
            7 => {
                let event = EventName {
                    source: "pay".to_owned(),
                    subject: self.pick(&["p1".to_owned(), "p2".to_owned()]),
                    event: "card_payment_captured|2026".to_owned(),
                };
                let until = self.now.plus(Duration::from_secs(8_000_000));
                let one = self.model.claim_event(&event, &key, until).await;
                let other = self.table.claim_event(&event, &key, until).await;
                (
                    format!("{event:?} {key}"),
                    format!("{one:?}"),
                    format!("{other:?}"),
                )
            }
            8 => pair(
                "replay",
                format!("{:?}", model.replay(&key, self.now).await),
                format!("{:?}", table.replay(&key, self.now).await),
            ),
            9 => {
                let request = DiscardRequest {
                    erase: self.chance.is(50),
                    now: self.now,
                    expires_at: self.now.plus(Duration::from_secs(7_776_000)),
                };
                let one = self.model.discard(&key, &request).await;
                let other = self.table.discard(&key, &request).await;
                (
                    format!("discard {key}"),
                    format!("{one:?}"),
                    format!("{other:?}"),
                )
            }
            _ => {
                let entry = KvEntry {
                    version: self.chance.below(3),
                    text: self.now.to_string(),
                };
                let expected = Some(self.chance.below(3)).filter(|version| *version > 0);
                let name = KvKey::new("lock", "both");
                let one = self.model.compare_and_swap(&name, expected, &entry).await;
                let other = self.table.compare_and_swap(&name, expected, &entry).await;
                (
                    format!("swap {expected:?}"),
                    format!("{one:?}"),
                    format!("{other:?}"),
                )
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_and_the_table_agree_on_every_outcome_and_every_row() {
    for seed in 1..=SEQUENCES {
        let (entries, mut pair) = (entries(), InboxPair::new(seed).await);
        let mut keys: Vec<Key> = entries.iter().map(|entry| entry.key.clone()).collect();
        keys.extend(entries.iter().map(|entry| entry.as_conflict().key));
        keys.sort();
        keys.dedup();
        let mut done = Vec::new();
        for _ in 0..OPERATIONS {
            let seconds = pair.chance.below(240);
            pair.now = pair.now.plus(Duration::from_secs(seconds));
            let (what, one, other) = pair.step(&entries, &keys).await;
            done.push(format!("{} {what}", pair.now));
            assert_eq!(one, other, "seed {seed}: {done:#?}");
        }
        for key in &keys {
            let (one, other) = (
                row_of(&pair.model, key).await,
                row_of(&pair.table, key).await,
            );
            assert_eq!(one, other, "seed {seed}: {done:#?}");
        }
        let later = pair.now.plus(Duration::from_secs(60));
        assert_eq!(due(&pair.model, later).await, due(&pair.table, later).await);
        let gauges = |gauges: PendingGauges| format!("{gauges:?}");
        assert_eq!(
            gauges(pair.model.pending_gauges(later, 100).await.unwrap()),
            gauges(pair.table.pending_gauges(later, 100).await.unwrap())
        );
        let source = SourceName::new("pay").unwrap();
        for subject in ["p1", "p2"] {
            let mut one = pair.model.ledger_entries(&source, subject).await.unwrap();
            let mut other = pair.table.ledger_entries(&source, subject).await.unwrap();
            one.sort();
            other.sort();
            assert_eq!(one, other, "seed {seed}: {done:#?}");
        }
    }
}
