//! A person who replays and discards rows, and the removal of expired rows.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use pillarbox::inbox::{DiscardOutcome, DiscardRequest, OperatorInbox, ReplayOutcome};

use super::{random::SplitMix64, simulation::Simulation};
use crate::history::RecordedEvent;

/// Replays and discards random rows at random times.
pub(crate) async fn decide(simulation: Arc<Simulation>) {
    let mut random = SplitMix64::of(simulation.plan.seed, 7);
    for _ in 0..random.between(1, 6) {
        tokio::time::sleep(Duration::from_millis(
            random.below(simulation.plan.span * 500),
        ))
        .await;
        let rows = simulation.table.rows();
        let Some(row) = rows.get(random.index(rows.len())) else {
            continue;
        };
        let (now, key) = (simulation.now(), row.key.to_string());
        if random.is(700) {
            let replayed = simulation.table.replay(&row.key, now).now_or_never();
            if matches!(replayed, Some(Ok(ReplayOutcome::Done))) {
                simulation.record(RecordedEvent::Replayed { key });
                simulation.changed.notify_waiters();
            }
        } else {
            let request = DiscardRequest {
                erase: random.is(500),
                now,
                expires_at: now.plus(simulation.plan.retention()),
            };
            let discarded = simulation.table.discard(&row.key, &request).now_or_never();
            if matches!(discarded, Some(Ok(DiscardOutcome::Done))) {
                simulation.record(RecordedEvent::Discarded { key });
            }
        }
    }
}

/// Removes expired rows.
pub(crate) fn expire(simulation: &Simulation) {
    for row in simulation.table.expire(simulation.now()) {
        simulation.record(RecordedEvent::Expired {
            key: row.key.to_string(),
            state: row.state.into(),
        });
    }
}
