//! The inbox of one process: the model table behind a network that fails.
//!
//! A change takes effect at one instant, and is recorded in the history at that instant. Faults
//! occur between the call and that instant, and between that instant and the reply.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use futures_util::FutureExt;
use pillarbox::{
    domain::{Key, SourceName, State, Timestamp},
    inbox::{
        CasOutcome, Claim, DeliveryInbox, EventClaim, Fence, InboxError, KvEntry, KvKey,
        LedgerEntry, Mark, MarkOutcome, MemoryInbox, PendingEvent, PendingGauges, ReadInbox,
        ReceiveInbox, ReconcileInbox, RecordOutcome, Row, SourceFilter, SweepStatus,
    },
    senders::{Entry, EventName},
};

use super::{
    content::content_of,
    plan::FaultKind,
    process::SimulatedProcess,
    simulation::{BEGINNING, Simulation},
};
use crate::{
    history::{RecordedEvent, RowState},
    sync::lock,
};

/// The time limit of the product's client for a call.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// The inbox of one process.
pub(crate) struct SimulatedInbox(pub(crate) Arc<SimulatedProcess>);

/// The fault of one call.
#[derive(Clone, Copy)]
enum CallFault {
    Refused,
    LostReply,
    LateBefore,
    LateAfter,
    Delayed,
    Repeated,
    CrashBefore,
    CrashAfter,
    FreezeBefore,
    FreezeAfter,
}

impl CallFault {
    fn kind(self) -> FaultKind {
        match self {
            Self::Refused => FaultKind::Refused,
            Self::LostReply => FaultKind::LostReply,
            Self::LateBefore | Self::LateAfter => FaultKind::Late,
            Self::Delayed => FaultKind::Delayed,
            Self::Repeated => FaultKind::Repeated,
            Self::CrashBefore | Self::CrashAfter => FaultKind::Crash,
            Self::FreezeBefore | Self::FreezeAfter => FaultKind::Freeze,
        }
    }
}

const CALL_FAULTS: [CallFault; 10] = [
    CallFault::Refused,
    CallFault::LostReply,
    CallFault::LateBefore,
    CallFault::LateAfter,
    CallFault::Delayed,
    CallFault::Repeated,
    CallFault::CrashBefore,
    CallFault::CrashAfter,
    CallFault::FreezeBefore,
    CallFault::FreezeAfter,
];

fn unavailable(why: &str) -> InboxError {
    InboxError::Unavailable(format!("simulated: {why}"))
}

/// The result of a call to the model table, which is always ready.
pub(crate) fn resolve_now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("the model table never waits")
}

impl SimulatedInbox {
    /// Draws the fault of a call.
    fn draw(&self, is_repeatable: bool) -> Option<CallFault> {
        let plan = &self.0.simulation.plan;
        if self.0.simulation.faults_ended() {
            return None;
        }
        self.0.random.draw(|random| {
            let fault = random.is(plan.rate).then(|| random.pick(&CALL_FAULTS))?;
            let is_possible = is_repeatable || !matches!(fault, CallFault::Repeated);
            (plan.faults.has(fault.kind()) && is_possible).then_some(fault)
        })
    }

    /// Records the fault of a call. A crash is recorded when it happens.
    fn record_fault(&self, key: Option<&Key>, fault: Option<CallFault>) {
        let kind = fault.map(CallFault::kind);
        if let Some(kind) = kind.filter(|kind| *kind != FaultKind::Crash) {
            self.0.simulation.record(RecordedEvent::FaultInjected {
                key: key.map(Key::to_string),
                fault: kind.as_str(),
            });
        }
    }

    /// Makes one call, whose effect is `effect`.
    async fn call<T: Send + 'static>(
        &self,
        key: Option<&Key>,
        is_repeatable: bool,
        effect: impl Fn(&Simulation) -> Result<T, InboxError> + Send + 'static,
    ) -> Result<T, InboxError> {
        let (process, simulation) = (&self.0, &self.0.simulation);
        let fault = self.draw(is_repeatable);
        self.record_fault(key, fault);
        match fault {
            None | Some(CallFault::LateBefore | CallFault::FreezeBefore) => {
                self.wait(fault).await;
                effect(simulation)
            }
            Some(CallFault::LateAfter | CallFault::FreezeAfter) => {
                let reply = effect(simulation);
                self.wait(fault).await;
                reply
            }
            Some(CallFault::Refused) => {
                self.wait(fault).await;
                Err(unavailable("throttled"))
            }
            Some(CallFault::LostReply) => {
                let _ = effect(simulation);
                self.wait(fault).await;
                Err(unavailable("no reply"))
            }
            Some(CallFault::Delayed) => {
                self.take_effect_later(effect);
                tokio::time::sleep(CLIENT_TIMEOUT).await;
                Err(unavailable("no reply in time"))
            }
            Some(CallFault::Repeated) => {
                let _ = effect(simulation);
                self.wait(fault).await;
                effect(simulation)
            }
            Some(CallFault::CrashBefore) => process.crash().await,
            Some(CallFault::CrashAfter) => {
                let _ = effect(simulation);
                process.crash().await
            }
        }
    }

    /// Lets a call take effect later, even if the process crashes: its request is already sent.
    fn take_effect_later<T>(&self, effect: impl FnOnce(&Simulation) -> T + Send + 'static) {
        let simulation = Arc::clone(&self.0.simulation);
        let after = self.0.millis(1, 5_000);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            drop(effect(&simulation));
        });
    }

    /// Waits for the network, for longer in a call with a fault.
    async fn wait(&self, fault: Option<CallFault>) {
        let (least, most) = match fault {
            None => (0, 9),
            Some(CallFault::Repeated) => (30, 700),
            Some(CallFault::LateBefore | CallFault::LateAfter) => (500, 4_000),
            Some(CallFault::FreezeBefore | CallFault::FreezeAfter) => (60_000, 30 * 60_000),
            Some(CallFault::LostReply) => (1, 2_000),
            Some(_) => (1, 200),
        };
        tokio::time::sleep(self.0.millis(least, most)).await;
    }

    /// Makes one call that affects no single row.
    async fn call_table<T: Send + 'static>(
        &self,
        is_repeatable: bool,
        effect: impl Fn(&MemoryInbox) -> Result<T, InboxError> + Send + 'static,
    ) -> Result<T, InboxError> {
        self.call(None, is_repeatable, move |simulation| {
            effect(&simulation.table)
        })
        .await
    }
}

fn row_of(simulation: &Simulation, key: &Key) -> Option<Row> {
    resolve_now(simulation.table.get(key)).ok().flatten()
}

fn record_stored(simulation: &Simulation, key: &Key) {
    let Some(row) = row_of(simulation, key) else {
        return;
    };
    let body = row.body.clone().unwrap_or_default();
    simulation.record(RecordedEvent::Stored {
        key: key.to_string(),
        content: content_of(&body),
        digest: row.digest,
        held: (row.state == State::Held).then_some("held"),
    });
    if row.state == State::Recorded {
        lock(&simulation.stream).push(key, simulation.elapsed());
    }
    simulation.changed.notify_waiters();
}

impl ReceiveInbox for SimulatedInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        let (key, entry) = (entry.key.clone(), entry.clone());
        let record = move |simulation: &Simulation| {
            let recorded = resolve_now(simulation.table.record(&entry))?;
            match &recorded {
                RecordOutcome::First => record_stored(simulation, &entry.key),
                RecordOutcome::Conflict(key) => record_stored(simulation, key),
                RecordOutcome::Duplicate => {}
            }
            Ok(recorded)
        };
        self.call(Some(&key), true, record).await
    }

    async fn probe(&self) -> Result<(), InboxError> {
        self.call_table(true, |_| Ok(())).await
    }
}

impl DeliveryInbox for SimulatedInbox {
    async fn find_due(
        &self,
        sources: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        let is_stale = self.0.draws_fault(FaultKind::StaleIndex, 300);
        let shown = self.0.random.draw(|random| random.next());
        let sources = sources.clone();
        self.call_table(true, move |table| {
            let mut keys = resolve_now(table.find_due(&sources, now, limit))?;
            if is_stale {
                // The index lags behind: it omits new rows, and still lists others.
                keys.retain(|_| shown & 1 == 0);
                let rows = table.rows();
                let others = rows.iter().filter(|row| sources.includes(row.key.source()));
                keys.extend(others.map(|row| row.key.clone()).filter(|_| shown & 2 == 0));
                keys.dedup();
                keys.truncate(limit);
            }
            Ok(keys)
        })
        .await
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        let (claimed, claim) = (key.clone(), *claim);
        // The checker uses the correct clock.
        let until = claim.lease.until.as_millis() - BEGINNING - self.0.skew();
        self.call(Some(key), false, move |simulation| {
            let taken = resolve_now(simulation.table.claim(&claimed, &claim))?;
            if let Some((_, fence)) = &taken {
                simulation.record(RecordedEvent::Claimed {
                    key: claimed.to_string(),
                    attempt: fence.attempt,
                    lease: fence.lease.0,
                    until,
                });
            }
            Ok(taken)
        })
        .await
    }

    async fn claim_event(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        let (event, owner) = (event.clone(), key.clone());
        self.call(Some(key), true, move |simulation| {
            resolve_now(simulation.table.claim_event(&event, &owner, expires_at))
        })
        .await
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<MarkOutcome, InboxError> {
        let (key, fence, mark) = (fence.key.clone(), fence.clone(), mark.clone());
        self.call(Some(&key), false, move |simulation| {
            let marked = resolve_now(simulation.table.mark(&fence, &mark))?;
            let (state, reason) = match &mark {
                Mark::Delivered { .. } => (RowState::Delivered, String::new()),
                Mark::Repeat { of, .. } => (RowState::Repeat, of.to_string()),
                Mark::Retry { error, .. } => (RowState::Open, error.clone()),
                Mark::Dead { reason, .. } => (RowState::Dead, reason.clone()),
                Mark::Held { reason, .. } => (RowState::Held, reason.to_string()),
            };
            simulation.record(RecordedEvent::Marked {
                key: fence.key.to_string(),
                attempt: fence.attempt,
                lease: fence.lease.0,
                state,
                reason,
                done: marked == MarkOutcome::Done,
            });
            Ok(marked)
        })
        .await
    }

    async fn record_last_received(
        &self,
        source: &SourceName,
        at: Timestamp,
    ) -> Result<(), InboxError> {
        let source = source.clone();
        self.call_table(true, move |table| {
            resolve_now(table.record_last_received(&source, at))
        })
        .await
    }

    async fn pending_gauges(
        &self,
        open_before: Timestamp,
        limit: usize,
    ) -> Result<PendingGauges, InboxError> {
        self.call_table(true, move |table| {
            resolve_now(table.pending_gauges(open_before, limit))
        })
        .await
    }

    async fn record_sweep(&self, status: &SweepStatus, version: u64) -> Result<(), InboxError> {
        let status = status.clone();
        self.call_table(true, move |table| {
            resolve_now(table.record_sweep(&status, version))
        })
        .await
    }

    async fn silent_since(
        &self,
        source: &SourceName,
        now: Timestamp,
    ) -> Result<Timestamp, InboxError> {
        let source = source.clone();
        self.call_table(true, move |table| {
            resolve_now(table.silent_since(&source, now))
        })
        .await
    }
}

impl ReconcileInbox for SimulatedInbox {
    async fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        let (source, subject) = (source.clone(), subject.to_owned());
        self.call_table(true, move |table| {
            resolve_now(table.ledger_entries(&source, &subject))
        })
        .await
    }

    async fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        let (source, subjects) = (source.clone(), subjects.clone());
        self.call_table(true, move |table| {
            resolve_now(table.pending_events(&source, &subjects))
        })
        .await
    }

    async fn last_received(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        let source = source.clone();
        self.call_table(true, move |table| resolve_now(table.last_received(&source)))
            .await
    }

    async fn kv_get(&self, key: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        let key = key.clone();
        self.call_table(true, move |table| resolve_now(table.kv_get(&key)))
            .await
    }

    async fn compare_and_swap(
        &self,
        key: &KvKey,
        expected_version: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        let (key, next) = (key.clone(), next.clone());
        self.call_table(true, move |table| {
            resolve_now(table.compare_and_swap(&key, expected_version, &next))
        })
        .await
    }
}
