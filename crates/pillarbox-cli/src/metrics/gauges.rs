//! The gauges of the inbox, read for a scrape.
//!
//! A read is one bounded query of the pending index and one of each source. However many scrapes
//! there are, one read runs at a time, at most every [`GAUGE_INTERVAL`]; a failure counts as one.
//! Gauges that could not be read are left out, because an old value would look like a true one.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::ServeMetrics;
use pillarbox::{
    delivery::sweep::SweepGauges,
    domain::{Clock, SourceName},
    inbox::{DeliveryInbox, InboxError},
};

/// How old gauges may be.
const GAUGE_INTERVAL: Duration = Duration::from_secs(10);

/// The most rows of each shard of the pending index that are counted. Reading them from a file
/// takes a few milliseconds.
const GAUGE_ROWS: usize = 10_000;

type ReadGauges = dyn Fn() -> BoxFuture<'static, Result<SweepGauges, InboxError>> + Send + Sync;

/// Reads the gauges of one inbox.
pub(super) struct GaugeReader {
    read: Box<ReadGauges>,
    /// When they were last read. Held during the read, so that concurrent scrapes share one read.
    last: tokio::sync::Mutex<Option<Instant>>,
}

impl GaugeReader {
    /// Reads the gauges of `inbox` and `sources`. Does not keep the inbox open: a local one is
    /// complete in its file only once it is closed, and metrics live as long as the process.
    pub(super) fn new<I: DeliveryInbox>(
        inbox: &Arc<I>,
        sources: Arc<[SourceName]>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let inbox = Arc::downgrade(inbox);
        let read = move || -> BoxFuture<'static, _> {
            let Some(inbox) = inbox.upgrade() else {
                let closed = InboxError::Unavailable("the inbox is closed".to_owned());
                return Box::pin(async { Err(closed) });
            };
            let (sources, now) = (Arc::clone(&sources), clock.now());
            Box::pin(async move { SweepGauges::read(&*inbox, &sources, GAUGE_ROWS, now).await })
        };
        Self {
            read: Box::new(read),
            last: tokio::sync::Mutex::default(),
        }
    }

    /// Updates the gauges of `metrics`, unless they are recent.
    pub(super) async fn refresh(&self, metrics: &ServeMetrics) {
        let mut last = self.last.lock().await;
        if last.is_some_and(|at| at.elapsed() < GAUGE_INTERVAL) {
            return;
        }
        let read = (self.read)().await;
        *last = Some(Instant::now());
        metrics.forget_gauges();
        match read {
            Ok(gauges) => {
                metrics.add(None, &gauges.samples());
                for (source, silence) in &gauges.silences {
                    if let Some(sample) = silence.sample() {
                        metrics.add(Some(source), &[sample]);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(reason = %error, "the gauges of the inbox could not be read");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use pillarbox::inbox::PendingGauges;

    use super::*;

    fn with_dead_rows(dead_rows: u64) -> SweepGauges {
        SweepGauges {
            pending: PendingGauges {
                dead_rows,
                ..PendingGauges::default()
            },
            ..SweepGauges::default()
        }
    }

    /// A reader that finds three dead rows. It counts its reads in `reads`; the first `failures` of
    /// them fail.
    fn reader(reads: &Arc<AtomicUsize>, failures: usize) -> GaugeReader {
        let reads = Arc::clone(reads);
        let read = move || -> BoxFuture<'static, _> {
            let nth = reads.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                if nth < failures {
                    return Err(InboxError::Unavailable("unreachable".to_owned()));
                }
                Ok(with_dead_rows(3))
            })
        };
        GaugeReader {
            read: Box::new(read),
            last: tokio::sync::Mutex::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_concurrent_scrapes_read_the_inbox_once() {
        let reads = Arc::new(AtomicUsize::new(0));
        let metrics = ServeMetrics::new();
        assert!(metrics.inbox.set(reader(&reads, 0)).is_ok());
        let scrapes = join_all((0..1_000).map(|_| metrics.scrape())).await;
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        for (_, text) in scrapes {
            assert!(text.contains("\npillarbox_dead_rows 3\n"), "{text}");
        }
        tokio::time::sleep(GAUGE_INTERVAL).await;
        metrics.scrape().await;
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn gauges_of_an_unreachable_inbox_are_left_out_and_other_metrics_are_shown() {
        let reads = Arc::new(AtomicUsize::new(0));
        let metrics = ServeMetrics::new();
        metrics.declare(&[]);
        metrics.add(None, &with_dead_rows(7).samples());
        assert!(metrics.inbox.set(reader(&reads, 1)).is_ok());
        let scrapes = join_all((0..1_000).map(|_| metrics.scrape())).await;
        assert_eq!(
            reads.load(Ordering::Relaxed),
            1,
            "a failed read is not repeated immediately"
        );
        for (_, text) in scrapes {
            assert!(
                !text.contains("pillarbox_dead_rows"),
                "an old value: {text}"
            );
            assert!(text.contains("pillarbox_sweep_run_total 0"), "{text}");
        }
        tokio::time::sleep(GAUGE_INTERVAL).await;
        let (_, text) = metrics.scrape().await;
        assert!(text.contains("pillarbox_dead_rows 3"), "{text}");
    }
}
