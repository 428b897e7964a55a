//! A sweep over a window of payments, page by page, newest first.

use std::time::Duration;

use super::{
    ExpectedEvent, MissingEvent, ObservationStatus, PayAccess, PaymentsReport,
    client::PayClient,
    judge::{ReceivedEvents, captured_by, is_ripe, lacking, refund_lacking},
    received_events::{ReceivedEventsReader, ledgers},
    window::{SweepCheckpoint, SweepPosition},
};
use crate::{
    domain::{Clock, Id, Timestamp},
    inbox::{Inbox, InboxError, Recorded},
    reconcile::{LockedRun, ProgressEvent, RunEnd, Sleeper, checkpoint::Checkpoint},
    senders::{Entry, Payment, Pulled, read},
};

/// How long a user has to pay. Where Pay keeps no history, a payment's state is not older than that.
const PAYING: Duration = Duration::from_secs(90 * 60);

/// A sweep that is under way.
pub(super) struct PaymentSweep<'a> {
    client: PayClient<'a>,
    place: SweepPosition,
    progress: Checkpoint,
}

impl<'a> PaymentSweep<'a> {
    /// Begins one, or goes on with the one that an earlier run began.
    pub(super) async fn begin<I: Inbox, W: Clock, S: Sleeper>(
        run: &mut LockedRun<'_, I, W, S>,
        access: &'a PayAccess,
        report: &mut PaymentsReport,
    ) -> Result<Self, RunEnd> {
        let client = PayClient::new(access).map_err(RunEnd::GovukPay)?;
        let (progress, kept) = Checkpoint::load::<_, _, _, SweepCheckpoint>(run).await?;
        let place = kept.begin(run.options, run.now())?;
        report.window = Some(place.window());
        Ok(Self {
            client,
            place,
            progress,
        })
    }

    /// Looks at every payment there is left.
    pub(super) async fn finish<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let swept = self.pages(run, report).await;
        let kept = match &swept {
            Ok(()) => SweepCheckpoint::ended(run.now()),
            Err(_) => SweepCheckpoint::at(&self.place),
        };
        let saved = self.save(run, &kept).await;
        swept.and(saved)
    }

    async fn pages<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        loop {
            let page = self.client.page(run, &self.place.query).await?;
            report.unreadable += page.unreadable;
            let passed = self.place.after.as_ref().and_then(|after| {
                page.payments
                    .iter()
                    .position(|payment| payment.id.as_str() == after)
            });
            let left = &page.payments[passed.map_or(0, |index| index + 1)..];
            self.payments(run, left, report).await?;
            let Some(next) = page.next else { return Ok(()) };
            self.place.turn_to(next);
            self.save(run, &SweepCheckpoint::at(&self.place)).await?;
        }
    }

    /// Keeps where the sweep is. Whoever asks for a part, or only looks, has no part in how far everybody is.
    async fn save<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &LockedRun<'_, I, W, S>,
        kept: &SweepCheckpoint,
    ) -> Result<(), RunEnd> {
        if run.options.dry_run || run.options.since.is_some() {
            Ok(())
        } else {
            self.progress.save(run, kept).await
        }
    }

    async fn payments<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        payments: &[Payment],
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        run.step().await?;
        let (ledgers, mut books) = (
            ledgers(run, payments).await?,
            ReceivedEventsReader::of(payments),
        );
        for (payment, came) in payments.iter().zip(ledgers) {
            if payment.refunded > 0 || !lacking(payment, &came, run.now()).is_empty() {
                self.look(run, payment, &came, &mut books, report).await?;
            }
            report.payments += 1;
            self.place.pass(&payment.id);
        }
        if let Some(last) = payments.last() {
            let news = ProgressEvent::Swept {
                payments: report.payments,
                at: last.created_at,
                until: self.place.window().0,
            };
            run.around.observer.tell(news);
        }
        Ok(())
    }

    /// Looks closer at a payment that its ledger alone does not account for.
    async fn look<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        payment: &Payment,
        came: &ReceivedEvents,
        books: &mut ReceivedEventsReader,
        report: &mut PaymentsReport,
    ) -> Result<(), RunEnd> {
        let made = self.refunds(run, payment).await?;
        let is_suspect = |came: &ReceivedEvents, now| {
            !lacking(payment, came, now).is_empty()
                || refund_lacking(made.clone(), came, now).is_some()
        };
        if !is_suspect(came, run.now()) {
            return Ok(());
        }
        let came = books.all_that_came(run, &payment.id).await?;
        if !is_suspect(&came, run.now()) {
            return Ok(());
        }
        // What a search brings may be behind the times. This is not.
        let Some((payment, pulled)) = self.client.payment(run, &payment.id).await? else {
            report.unreadable += 1;
            return Ok(());
        };
        let missing = self.missing(run, &payment, &came, made).await?;
        if missing.is_empty() {
            Ok(())
        } else {
            observe(run, &payment.id, pulled, missing, report).await
        }
    }

    async fn refunds<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        payment: &Payment,
    ) -> Result<Vec<Timestamp>, RunEnd> {
        if payment.refunded == 0 {
            Ok(Vec::new())
        } else {
            self.client.refunds(run, &payment.id).await
        }
    }

    /// What is missing of a payment, and since when.
    async fn missing<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        payment: &Payment,
        came: &ReceivedEvents,
        made: Vec<Timestamp>,
    ) -> Result<Vec<(ExpectedEvent, Timestamp)>, RunEnd> {
        let mut missing = Vec::new();
        for what in lacking(payment, came, run.now()) {
            let since = match captured_by(payment) {
                _ if what.is_of_state() => {
                    let since = self.client.since(run, payment).await?;
                    since.unwrap_or(payment.created_at.plus(PAYING))
                }
                Some(captured_by) => captured_by,
                None => continue,
            };
            if is_ripe(since, run.now()) {
                missing.push((what, since));
            }
        }
        missing.extend(
            refund_lacking(made, came, run.now()).map(|since| (ExpectedEvent::Refunded, since)),
        );
        Ok(missing)
    }
}

/// Records a payment as it is, in place of the events that never came, and reports those.
async fn observe<I: Inbox, W: Clock, S: Sleeper>(
    run: &mut LockedRun<'_, I, W, S>,
    payment: &Id,
    pulled: Pulled,
    missing: Vec<(ExpectedEvent, Timestamp)>,
    report: &mut PaymentsReport,
) -> Result<(), RunEnd> {
    run.step().await?;
    let entry = read(run.source, pulled, run.now(), run.around.window);
    let observed = record(run, &entry).await?;
    for (what, since) in missing {
        let one = MissingEvent {
            payment: payment.clone(),
            what,
            since,
            key: entry.key.clone(),
            observed,
        };
        run.around.observer.tell(ProgressEvent::Missing(&one));
        report.missing.push(one);
    }
    Ok(())
}

async fn record<I: Inbox, W: Clock, S: Sleeper>(
    run: &LockedRun<'_, I, W, S>,
    entry: &Entry,
) -> Result<ObservationStatus, InboxError> {
    if run.options.dry_run {
        return Ok(ObservationStatus::No);
    }
    Ok(match run.inbox().record(entry).await? {
        Recorded::Duplicate => ObservationStatus::Before,
        Recorded::First | Recorded::Conflict(_) => {
            run.around
                .observer
                .tell(ProgressEvent::Recorded(&entry.key));
            ObservationStatus::First
        }
    })
}
