//! Drives one box: rate limit -> list -> record -> acknowledge. [`BoxState`] decides what follows
//! each step.

use std::time::Duration;

use super::{
    box_state::BoxState,
    client::{BoxQuery, HmrcCallError, HmrcClient},
    record::record,
};
use crate::{
    domain::Timestamp,
    inbox::{KvKey, ReconcileInbox},
    reconcile::{LockedRun, ProgressEvent, RunEnd, rate_limiter::RateLimiter},
};

/// HMRC allows one list of a box in 10 s. A little longer, since two calls that leave 10 s apart
/// may arrive closer.
const LIST_INTERVAL: Duration = Duration::from_millis(10_250);

/// A box and the rate limiter of its lists.
pub(super) struct RateLimitedBox {
    pub(super) state: BoxState,
    limiter: RateLimiter,
}

impl RateLimitedBox {
    /// The box `id`, for notifications created since `since`.
    pub(super) fn new(id: &str, since: Option<Timestamp>) -> Self {
        Self {
            state: BoxState::new(id, since),
            limiter: RateLimiter::new(KvKey::new("list", id), LIST_INTERVAL),
        }
    }

    /// Works on one page, from the list to its acknowledgement. Fails only if the whole run must
    /// end.
    pub(super) async fn serve(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        client: &mut HmrcClient<'_>,
    ) -> Result<(), RunEnd> {
        let error = match self.serve_page(run, client).await {
            Ok(()) => return Ok(()),
            Err(HmrcCallError::Ended(end)) => return Err(end),
            Err(HmrcCallError::Hmrc(error)) => error,
        };
        run.context.reporter.on_event(ProgressEvent::BoxFailed {
            box_id: self.state.id(),
            error: &error,
        });
        let handled = self.state.handle_error(error, run.now(), run.random());
        handled.map_err(RunEnd::Hmrc)
    }

    async fn serve_page(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        client: &mut HmrcClient<'_>,
    ) -> Result<(), HmrcCallError> {
        if self.state.needs_page() {
            if !self.try_acquire(run, client).await? {
                return Ok(());
            }
            self.list(run, client).await?;
        }
        self.acknowledge_all(run, client).await?;
        self.state.page_done();
        Ok(())
    }

    /// Acquires the next list of this box, if it is allowed now. This is the last step before the
    /// call: a delay between the two would bring the call closer to the next one.
    async fn try_acquire(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        client: &mut HmrcClient<'_>,
    ) -> Result<bool, HmrcCallError> {
        let mut wait = self.limiter.time_until_next(run).await?;
        if wait.is_zero() {
            client.prepare_call(run).await?;
            wait = self.limiter.try_acquire(run).await?.unwrap_or_default();
        }
        if !wait.is_zero() {
            self.state.delay(run.now(), wait);
        }
        Ok(wait.is_zero())
    }

    /// Lists a page and records it.
    async fn list(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        client: &mut HmrcClient<'_>,
    ) -> Result<(), HmrcCallError> {
        let query = BoxQuery {
            box_id: self.state.id(),
            status: self.state.status,
            from: self.state.pager.from,
            count: self.state.pager.count,
        };
        let elements = client.list(run, query).await?;
        self.state.listed(run.now(), LIST_INTERVAL);
        run.context.reporter.on_event(ProgressEvent::Listed {
            box_id: self.state.id(),
            status: self.state.status,
            count: elements.len(),
        });
        let outcomes = record(run, elements).await?;
        self.state.page_recorded(&outcomes);
        Ok(())
    }

    /// Acknowledges the stored notifications, as many in one request as HMRC accepts.
    async fn acknowledge_all(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        client: &mut HmrcClient<'_>,
    ) -> Result<(), HmrcCallError> {
        loop {
            let ids = self.state.next_acknowledgement();
            if ids.is_empty() {
                return Ok(());
            }
            client.prepare_call(run).await?;
            client.acknowledge(run, self.state.id(), &ids).await?;
            self.state.acknowledged(ids.len());
            run.context.reporter.on_event(ProgressEvent::Acknowledged {
                box_id: self.state.id(),
                count: ids.len(),
            });
        }
    }
}
