//! Acts on many notifications, at a limited rate and with progress, until all are done or it is
//! stopped.

use std::{num::NonZeroU32, pin::pin, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{ActError, Operator, RowAct, RowResult, RowSelection};
use pillarbox::{
    domain::Key,
    inbox::{AuditInbox, AuditOutcome, InboxError, OperatorInbox, ReadInbox},
};

/// How many notifications are changed concurrently: this uses the throughput of a table, and lets a
/// file flush several changes together.
const CONCURRENCY: usize = 16;

/// The progress of an act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActProgress {
    /// The number of notifications to change.
    pub total: usize,
    /// The number changed so far.
    pub done: usize,
    /// The number left unchanged, because they no longer exist or their state does not allow the
    /// act.
    pub left_alone: usize,
}

impl ActProgress {
    /// The number that remains.
    pub fn remaining(&self) -> usize {
        self.total - self.done - self.left_alone
    }

    fn count(&mut self, result: &RowResult) {
        match result {
            RowResult::Done => self.done += 1,
            _ => self.left_alone += 1,
        }
    }
}

/// How an act on many notifications ended.
#[derive(Debug)]
pub struct ActReport {
    /// How many are done, and how many remain.
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
    /// When `stop` is cancelled, or the inbox fails, it starts no further changes, completes those
    /// in progress, and returns.
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
        // Erasing empties the write-ahead log of a file, so no other change can run meanwhile.
        let concurrency = if act == RowAct::Erase { 1 } else { CONCURRENCY };
        let results = limit_rate(selection.keys.clone(), rate)
            .take_until(ending.cancelled())
            .map(|key| async move {
                let result = self.change(act, &key).await;
                (key, result)
            })
            .buffer_unordered(concurrency);
        let mut results = pin!(results);
        while let Some((key, result)) = results.next().await {
            match result.or_else(of_unreadable_row) {
                Ok(result) => {
                    progress.count(&result);
                    on_row(&key, &result, progress);
                }
                Err(error) => {
                    ending.cancel();
                    failure.get_or_insert(error);
                }
            }
        }
        let outcome = match failure {
            Some(_) => AuditOutcome::Failed,
            None if progress.remaining() > 0 => AuditOutcome::Stopped,
            None => AuditOutcome::Done,
        };
        self.complete(entry, progress.done as u64, outcome).await?;
        Ok(ActReport {
            progress,
            outcome,
            failure,
        })
    }
}

/// The result of a row that cannot be read. Other errors end the act.
fn of_unreadable_row(error: InboxError) -> Result<RowResult, InboxError> {
    match error {
        InboxError::Damaged { .. } | InboxError::NewerRow { .. } => {
            Ok(RowResult::Unreadable(error))
        }
        error => Err(error),
    }
}

/// The keys in order, at most `rate` a second.
fn limit_rate(keys: Vec<Key>, rate: Option<NonZeroU32>) -> impl Stream<Item = Key> {
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
