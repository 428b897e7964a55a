//! Acts on many notifications: at a rate, with progress, until it is done or stopped.

use std::{num::NonZeroU32, pin::pin, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{ActError, Operator, RowAct, RowResult, RowSelection};
use pillarbox::{
    domain::Key,
    inbox::{AuditInbox, AuditOutcome, InboxError, OperatorInbox, ReadInbox},
};

/// How many notifications are changed at once, so that a table is kept busy and a file flushes
/// several changes together.
const CONCURRENCY: usize = 16;

/// How far an act is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActProgress {
    /// How many notifications it is about.
    pub total: usize,
    /// How many it has changed.
    pub done: usize,
    /// How many it has not changed, because they are gone, or their state no longer allows it.
    pub left_alone: usize,
}

impl ActProgress {
    /// How many are still to come.
    pub fn remaining(&self) -> usize {
        self.total - self.done - self.left_alone
    }
}

/// How an act on many notifications ended.
#[derive(Debug)]
pub struct ActReport {
    /// What was done, and what remains.
    pub progress: ActProgress,
    /// Done, stopped or failed.
    pub outcome: AuditOutcome,
    /// Why it failed.
    pub failure: Option<InboxError>,
}

impl<I: ReadInbox + OperatorInbox + AuditInbox> Operator<I> {
    /// Acts on every notification of `selection`, oldest first, at most `rate` a second. Calls
    /// `on_row` after each.
    ///
    /// Once `stop` is cancelled, or the inbox has failed, it begins no more, finishes the few that
    /// it has begun, and returns.
    ///
    /// # Errors
    /// If the audit trail cannot be written.
    pub async fn act_on_all(
        &self,
        selection: &RowSelection,
        rate: Option<NonZeroU32>,
        stop: &CancellationToken,
        on_row: &mut (dyn FnMut(&Key, &RowResult, ActProgress) + Send),
    ) -> Result<ActReport, ActError> {
        let (act, total) = (selection.act, selection.keys.len());
        let target = selection.scope.clone();
        let entry = self.begin(act.action(), target, Some(total as u64)).await?;
        let mut progress = ActProgress {
            total,
            ..ActProgress::default()
        };
        let (mut failure, ending) = (None, stop.child_token());
        // Erasing empties the log of a file, which no other change may use meanwhile.
        let concurrency = if act == RowAct::Erase { 1 } else { CONCURRENCY };
        let results = paced(selection.keys.clone(), rate)
            .take_until(ending.cancelled())
            .map(|key| async move {
                let result = self.change(act, &key).await;
                (key, result)
            })
            .buffer_unordered(concurrency);
        let mut results = pin!(results);
        while let Some((key, result)) = results.next().await {
            let result = match result {
                Ok(result) => result,
                Err(error @ (InboxError::Damaged { .. } | InboxError::NewerRow { .. })) => {
                    RowResult::Unreadable(error)
                }
                Err(error) => {
                    ending.cancel();
                    failure.get_or_insert(error);
                    continue;
                }
            };
            match result {
                RowResult::Done => progress.done += 1,
                _ => progress.left_alone += 1,
            }
            on_row(&key, &result, progress);
        }
        let outcome = match failure {
            Some(_) => AuditOutcome::Failed,
            None if progress.remaining() > 0 => AuditOutcome::Stopped,
            None => AuditOutcome::Done,
        };
        self.end(entry, progress.done as u64, outcome).await?;
        Ok(ActReport {
            progress,
            outcome,
            failure,
        })
    }
}

/// The keys in order, at most `rate` a second.
fn paced(keys: Vec<Key>, rate: Option<NonZeroU32>) -> impl Stream<Item = Key> {
    stream::unfold(
        (keys.into_iter(), rate.map(ticks)),
        |(mut keys, mut ticks)| async move {
            let key = keys.next()?;
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            Some((key, (keys, ticks)))
        },
    )
}

fn ticks(rate: NonZeroU32) -> Interval {
    let mut ticks = interval(Duration::from_secs(1) / rate.get());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
