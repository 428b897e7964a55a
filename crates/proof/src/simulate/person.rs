//! A person who replays and discards rows, and time, which removes what has expired.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use pillarbox::inbox::{DiscardRequest, Discarded, OperatorInbox, Replayed};

use super::{random::Random, table::state_of, world::World};
use crate::history::Happened;

/// Replays and discards some rows, at any time.
pub(crate) async fn decide(world: Arc<World>) {
    let mut random = Random::of(world.plan.seed, 7);
    for _ in 0..random.between(1, 6) {
        tokio::time::sleep(Duration::from_millis(random.below(world.plan.span * 500))).await;
        let rows = world.table.rows();
        let Some(row) = rows.get(usize::try_from(random.below(rows.len() as u64)).unwrap_or(0))
        else {
            continue;
        };
        let (now, key) = (world.now(), row.key.to_string());
        if random.is(700) {
            let replayed = world.table.replay(&row.key, now).now_or_never();
            if matches!(replayed, Some(Ok(Replayed::Done))) {
                world.note(Happened::Replayed { key });
                world.changed.notify_waiters();
            }
        } else {
            let request = DiscardRequest {
                erase: random.is(500),
                now,
                expires_at: now.plus(world.plan.retention()),
            };
            let discarded = world.table.discard(&row.key, &request).now_or_never();
            if matches!(discarded, Some(Ok(Discarded::Done))) {
                world.note(Happened::Discarded { key });
            }
        }
    }
}

/// Removes what has expired.
pub(crate) fn expire(world: &World) {
    for row in world.table.expire(world.now()) {
        world.note(Happened::Expired { key: row.key.to_string(), state: state_of(&row) });
    }
}
