//! A sweep over a window of payments, page by page, newest first.
//!
//! For a source without a webhook, the refunds follow, because a payment may be refunded long after
//! its window: for each refund since the last sweep, the payment is read again.

use std::collections::BTreeSet;

use super::{
    ExpectedEvent, MissingEvent, ObservationStatus, PayAccess, PaymentsReport,
    client::{FoundRefund, PayClient},
    judge::{ReceivedEvents, WebhookExpectation, captured_by, pushed_since},
    received_events::{ReceivedEventsReader, ledgers},
    window::{SweepCheckpoint, SweepPosition},
};
use crate::{
    domain::{Key, NotificationId, Timestamp},
    inbox::{InboxError, ReconcileInbox, RecordOutcome},
    reconcile::{LockedRun, ProgressEvent, RunEnd, checkpoint::Checkpoint},
    senders::{Entry, Payment, Pulled, read},
};

/// A sweep in progress.
pub(super) struct PaymentSweep<'a> {
    client: PayClient<'a>,
    access: &'a PayAccess,
    position: SweepPosition,
    stored: Checkpoint,
    checkpoint: SweepCheckpoint,
    /// The checked payments that are refunded. The pages of refunds skip them.
    refunded: BTreeSet<NotificationId>,
}

impl<'a> PaymentSweep<'a> {
    /// Starts a sweep, or resumes the one that an earlier run started.
    pub(super) async fn begin(
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        access: &'a PayAccess,
        report: &mut PaymentsReport,
    ) -> Result<Self, RunEnd> {
        let client = PayClient::new(access).map_err(RunEnd::GovukPay)?;
        let (stored, checkpoint) = Checkpoint::load::<SweepCheckpoint>(run).await?;
        let position = checkpoint.begin(run.options, access, run.now())?;
        report.window = Some(position.window());
        Ok(Self {
            client,
            access,
            position,
            stored,
            checkpoint,
            refunded: BTreeSet::new(),
        })
    }

    /// Checks the remaining payments.
    pub(super) async fn finish(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let swept = self.pages(run, report).await;
        match &swept {
            Ok(()) => self.checkpoint.set_ended(&self.position, run.now()),
            Err(_) => self.checkpoint.set_under_way(&self.position),
        }
        let saved = self.save(run).await;
        swept.and(saved)
    }

    async fn pages(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        if !self.position.is_of_refunds {
            self.payment_pages(run, report).await?;
            if self.expectation().is_some() {
                return Ok(());
            }
            let from = self.checkpoint.refunds_from(run.options, &self.position);
            self.position.begin_refunds(from);
            self.save_position(run).await?;
        }
        self.refund_pages(run, report).await
    }

    async fn payment_pages(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        loop {
            let query = &self.position.query;
            let page = self.client.payments_page(run, query).await?;
            report.unreadable += page.unreadable;
            let unchecked = self.unchecked(&page.results, |payment| &payment.id);
            self.payments(run, unchecked, report).await?;
            if !self.load_next_page(run, page.next).await? {
                return Ok(());
            }
        }
    }

    async fn refund_pages(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        loop {
            let query = &self.position.query;
            let page = self.client.refunds_page(run, query).await?;
            report.unreadable += page.unreadable;
            let unchecked = self.unchecked(&page.results, |refund| &refund.payment);
            let mut reader =
                ReceivedEventsReader::of(unchecked.iter().map(|refund| &refund.payment));
            for FoundRefund {
                payment,
                has_failed,
            } in unchecked
            {
                if !has_failed && self.refunded.insert(payment.clone()) {
                    let received = reader.received_events(run, payment).await?;
                    self.record_current(run, payment, &received, report).await?;
                }
                self.position.mark_checked(payment);
            }
            if !self.load_next_page(run, page.next).await? {
                return Ok(());
            }
        }
    }

    /// Moves to the next page and saves the position; `false` if there is none.
    async fn load_next_page(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
        next: Option<String>,
    ) -> Result<bool, RunEnd> {
        let Some(next) = next else { return Ok(false) };
        self.position.next_page(next);
        self.save_position(run).await?;
        Ok(true)
    }

    /// The results of the current page after the last checked payment.
    fn unchecked<'p, T>(&self, page: &'p [T], id: impl Fn(&T) -> &NotificationId) -> &'p [T] {
        let after = self.position.after.as_deref();
        let passed = page.iter().position(|one| Some(id(one).as_str()) == after);
        &page[passed.map_or(0, |index| index + 1)..]
    }

    async fn save_position(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
    ) -> Result<(), RunEnd> {
        self.checkpoint.set_under_way(&self.position);
        self.save(run).await
    }

    /// Saves the checkpoint. A partial or dry run does not move the checkpoint that other runs
    /// resume from.
    async fn save(&mut self, run: &LockedRun<'_, impl ReconcileInbox>) -> Result<(), RunEnd> {
        if run.options.dry_run || run.options.since.is_some() {
            Ok(())
        } else {
            self.stored.save(run, &self.checkpoint).await
        }
    }

    async fn payments(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        payments: &[Payment],
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        run.step().await?;
        let (ledgers, mut reader) = (
            ledgers(run, payments).await?,
            ReceivedEventsReader::of(payments.iter().map(|payment| &payment.id)),
        );
        for (payment, received) in payments.iter().zip(ledgers) {
            match self.expectation() {
                Some(pushed) => {
                    let missing = pushed.missing_events(payment, &received, run.now());
                    if pushed.has_refunds(payment) || !missing.is_empty() {
                        self.check_payment(run, pushed, payment, &received, &mut reader, report)
                            .await?;
                    }
                }
                None if payment.is_settled() => {
                    if payment.refunded > 0 {
                        self.refunded.insert(payment.id.clone());
                    }
                    self.record_state(run, payment, &received, &mut reader, report)
                        .await?;
                }
                None => {}
            }
            report.payments += 1;
            self.position.mark_checked(&payment.id);
        }
        if let Some(last) = payments.last() {
            let event = ProgressEvent::PaymentsChecked {
                payments: report.payments,
                at: last.created_at,
                until: self.position.window().0,
            };
            run.context.reporter.on_event(event);
        }
        Ok(())
    }

    /// The events that Pay should push; `None` if the source has no webhook.
    fn expectation(&self) -> Option<WebhookExpectation<'a>> {
        let after = self.access.after;
        let events = self.access.events.as_deref();
        events.map(|events| WebhookExpectation { events, after })
    }

    /// Records a payment of a source without a webhook as an event, once for each of its states.
    async fn record_state(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        payment: &Payment,
        received: &ReceivedEvents,
        reader: &mut ReceivedEventsReader,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let Some(key) =
            NotificationId::new(&payment.observation_id()).map(|id| Key::new(run.source, &id))
        else {
            report.unreadable += 1;
            return Ok(());
        };
        if received.has_observation(&key) {
            return Ok(());
        }
        let received = reader.received_events(run, &payment.id).await?;
        if received.has_observation(&key) {
            return Ok(());
        }
        self.record_current(run, &payment.id, &received, report)
            .await
    }

    /// Reads a payment by its id, since a search may be out of date, and records its state if it is
    /// new.
    async fn record_current(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        payment: &NotificationId,
        received: &ReceivedEvents,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let Some((_, pulled)) = self.client.payment(run, payment).await? else {
            report.unreadable += 1;
            return Ok(());
        };
        run.step().await?;
        let entry = read(run.source, pulled, run.now(), run.context.window);
        if received.has_observation(&entry.key) {
            return Ok(());
        }
        match record(run, &entry).await? {
            ObservationStatus::First | ObservationStatus::No => report.observed += 1,
            ObservationStatus::Before => {}
        }
        Ok(())
    }

    /// Checks a payment that may lack events. The ledger and the pending events are read again,
    /// because an event may have arrived since the page was read.
    async fn check_payment(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        pushed: WebhookExpectation<'_>,
        payment: &Payment,
        received: &ReceivedEvents,
        reader: &mut ReceivedEventsReader,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let refunds = if pushed.has_refunds(payment) {
            self.client.refunds(run, &payment.id).await?
        } else {
            0
        };
        let now = run.now();
        let checkpoint = &mut self.checkpoint;
        let seen = checkpoint.refunds_seen(&payment.id, refunds, received.refunds(), now);
        let is_suspect = |received: &ReceivedEvents, now| {
            !pushed.missing_events(payment, received, now).is_empty()
                || pushed.first_missing_refund(&seen, received, now).is_some()
        };
        if !is_suspect(received, run.now()) {
            return Ok(());
        }
        let received = reader.received_events(run, &payment.id).await?;
        if !is_suspect(&received, run.now()) {
            return Ok(());
        }
        // A search may be out of date; a single payment is not.
        let Some((payment, pulled)) = self.client.payment(run, &payment.id).await? else {
            report.unreadable += 1;
            return Ok(());
        };
        let missing = self
            .missing(run, pushed, &payment, &received, &seen)
            .await?;
        if missing.is_empty() {
            Ok(())
        } else {
            record_observation(run, &payment.id, pulled, missing, report).await
        }
    }

    /// The events that are missing, and since when.
    async fn missing(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        pushed: WebhookExpectation<'_>,
        payment: &Payment,
        received: &ReceivedEvents,
        refunds_seen: &[Timestamp],
    ) -> Result<Vec<(ExpectedEvent, Timestamp)>, RunEnd> {
        let mut missing = Vec::new();
        for what in pushed.missing_events(payment, received, run.now()) {
            let since = if what.is_of_state() {
                let history = self.client.history(run, &payment.id).await?;
                pushed_since(payment, &history)
            } else {
                captured_by(payment)
            };
            if let Some(since) = since.filter(|since| pushed.is_overdue(*since, run.now())) {
                missing.push((what, since));
            }
        }
        let refund = pushed.first_missing_refund(refunds_seen, received, run.now());
        missing.extend(refund.map(|since| (ExpectedEvent::Refunded, since)));
        Ok(missing)
    }
}

/// Records the current payment in place of its missing events, and reports those events.
async fn record_observation(
    run: &mut LockedRun<'_, impl ReconcileInbox>,
    payment: &NotificationId,
    pulled: Pulled,
    missing: Vec<(ExpectedEvent, Timestamp)>,
    report: &mut PaymentsReport,
) -> Result<(), RunEnd> {
    run.step().await?;
    let entry = read(run.source, pulled, run.now(), run.context.window);
    let observed = record(run, &entry).await?;
    for (what, since) in missing {
        let one = MissingEvent {
            payment: payment.clone(),
            what,
            since,
            key: entry.key.clone(),
            observed,
        };
        run.context.reporter.on_event(ProgressEvent::Missing(&one));
        report.missing.push(one);
    }
    Ok(())
}

async fn record(
    run: &LockedRun<'_, impl ReconcileInbox>,
    entry: &Entry,
) -> Result<ObservationStatus, InboxError> {
    if run.options.dry_run {
        return Ok(ObservationStatus::No);
    }
    Ok(match run.inbox().record(entry).await? {
        RecordOutcome::Duplicate => ObservationStatus::Before,
        RecordOutcome::First | RecordOutcome::Conflict(_) => {
            run.context
                .reporter
                .on_event(ProgressEvent::Recorded(&entry.key));
            ObservationStatus::First
        }
    })
}
