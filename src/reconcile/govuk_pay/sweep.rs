//! A sweep over a window of payments, page by page, newest first.

use std::time::Duration;

use super::{
    ExpectedEvent, MissingEvent, ObservationStatus, PayAccess, PaymentsReport,
    client::PayClient,
    judge::{ReceivedEvents, captured_by, first_missing_refund, is_overdue, missing_events},
    received_events::{ReceivedEventsReader, ledgers},
    window::{SweepCheckpoint, SweepPosition},
};
use crate::{
    domain::{Id, Timestamp},
    inbox::{InboxError, ReconcileInbox, Recorded},
    reconcile::{LockedRun, ProgressEvent, RunEnd, checkpoint::Checkpoint},
    senders::{Entry, Payment, Pulled, read},
};

/// How long a user has to pay. Without a history at Pay, a payment entered its state within this
/// time.
const PAYMENT_TIMEOUT: Duration = Duration::from_secs(90 * 60);

/// A sweep that is under way.
pub(super) struct PaymentSweep<'a> {
    client: PayClient<'a>,
    position: SweepPosition,
    checkpoint: Checkpoint,
}

impl<'a> PaymentSweep<'a> {
    /// Starts a sweep, or resumes the one that an earlier run started.
    pub(super) async fn begin(
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        access: &'a PayAccess,
        report: &mut PaymentsReport,
    ) -> Result<Self, RunEnd> {
        let client = PayClient::new(access).map_err(RunEnd::GovukPay)?;
        let (checkpoint, kept) = Checkpoint::load::<SweepCheckpoint>(run).await?;
        let position = kept.begin(run.options, run.now())?;
        report.window = Some(position.window());
        Ok(Self {
            client,
            position,
            checkpoint,
        })
    }

    /// Checks every payment that is left.
    pub(super) async fn finish(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let swept = self.pages(run, report).await;
        let kept = match &swept {
            Ok(()) => SweepCheckpoint::ended(run.now()),
            Err(_) => SweepCheckpoint::at(&self.position),
        };
        let saved = self.save(run, &kept).await;
        swept.and(saved)
    }

    async fn pages(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        loop {
            let page = self.client.page(run, &self.position.query).await?;
            report.unreadable += page.unreadable;
            let passed = self.position.after.as_ref().and_then(|after| {
                page.payments
                    .iter()
                    .position(|payment| payment.id.as_str() == after)
            });
            let left = &page.payments[passed.map_or(0, |index| index + 1)..];
            self.payments(run, left, report).await?;
            let Some(next) = page.next else { return Ok(()) };
            self.position.next_page(next);
            self.save(run, &SweepCheckpoint::at(&self.position)).await?;
        }
    }

    /// Saves the checkpoint. A run of a part, or a dry run, does not move the checkpoint that other
    /// runs resume from.
    async fn save(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
        kept: &SweepCheckpoint,
    ) -> Result<(), RunEnd> {
        if run.options.dry_run || run.options.since.is_some() {
            Ok(())
        } else {
            self.checkpoint.save(run, kept).await
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
            ReceivedEventsReader::of(payments),
        );
        for (payment, received) in payments.iter().zip(ledgers) {
            if payment.refunded > 0 || !missing_events(payment, &received, run.now()).is_empty() {
                self.check_payment(run, payment, &received, &mut reader, report)
                    .await?;
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

    /// Checks a payment whose ledger alone does not have all expected events.
    async fn check_payment(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        payment: &Payment,
        received: &ReceivedEvents,
        reader: &mut ReceivedEventsReader,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let made = self.refunds(run, payment).await?;
        let is_suspect = |received: &ReceivedEvents, now| {
            !missing_events(payment, received, now).is_empty()
                || first_missing_refund(made.clone(), received, now).is_some()
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
        let missing = self.missing(run, &payment, &received, made).await?;
        if missing.is_empty() {
            Ok(())
        } else {
            record_observation(run, &payment.id, pulled, missing, report).await
        }
    }

    async fn refunds(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        payment: &Payment,
    ) -> Result<Vec<Timestamp>, RunEnd> {
        if payment.refunded == 0 {
            Ok(Vec::new())
        } else {
            self.client.refunds(run, &payment.id).await
        }
    }

    /// The missing events of a payment, and when each happened.
    async fn missing(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        payment: &Payment,
        received: &ReceivedEvents,
        made: Vec<Timestamp>,
    ) -> Result<Vec<(ExpectedEvent, Timestamp)>, RunEnd> {
        let mut missing = Vec::new();
        for what in missing_events(payment, received, run.now()) {
            let since = match captured_by(payment) {
                _ if what.is_of_state() => {
                    let since = self.client.since(run, payment).await?;
                    since.unwrap_or(payment.created_at.plus(PAYMENT_TIMEOUT))
                }
                Some(captured_by) => captured_by,
                None => continue,
            };
            if is_overdue(since, run.now()) {
                missing.push((what, since));
            }
        }
        missing.extend(
            first_missing_refund(made, received, run.now())
                .map(|since| (ExpectedEvent::Refunded, since)),
        );
        Ok(missing)
    }
}

/// Records a payment as it is, in place of its missing events, and reports those.
async fn record_observation(
    run: &mut LockedRun<'_, impl ReconcileInbox>,
    payment: &Id,
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
        Recorded::Duplicate => ObservationStatus::Before,
        Recorded::First | Recorded::Conflict(_) => {
            run.context
                .reporter
                .on_event(ProgressEvent::Recorded(&entry.key));
            ObservationStatus::First
        }
    })
}
