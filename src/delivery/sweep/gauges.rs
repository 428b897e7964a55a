//! The gauges of a sweep: how many rows are pending, and how long each source has sent nothing.

use std::time::Duration;

use crate::{
    domain::{SourceName, Timestamp},
    inbox::{DeliveryInbox, InboxError, PendingGauges},
    telemetry::{
        CONFLICT_ROWS, DEAD_ROWS, HELD_ROWS, MetricSample, OLDEST_OPEN_SECONDS, OPEN_ROWS,
        SILENCE_HOURS,
    },
};

/// How long the stream may take to deliver an open row. Younger rows are not counted as stuck.
const STREAM_DELAY: Duration = Duration::from_secs(2 * 60);
/// How many rows of each shard of the pending index are counted.
pub const GAUGE_ROWS: usize = 100;
/// How long reading the gauges may take. They are read before the deliveries, because afterwards
/// there may be no time.
const GAUGES_TIMEOUT: Duration = Duration::from_secs(5);
/// How far in the future the time of a last notification may be: the difference between two clocks.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// What a sweep measures before it delivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepGauges {
    /// The counts of the pending index.
    pub pending: PendingGauges,
    /// The age of the oldest open row that should have been delivered by now; zero for none.
    pub oldest_open: Duration,
    /// How long each source has sent nothing.
    pub silences: Vec<(SourceName, SourceSilence)>,
}

impl SweepGauges {
    /// Reads the gauges of `inbox` and `sources`, from at most `limit` rows of each shard of the
    /// pending index.
    ///
    /// # Errors
    /// If the inbox cannot be read, or not in time.
    pub async fn read(
        inbox: &impl DeliveryInbox,
        sources: &[SourceName],
        limit: usize,
        now: Timestamp,
    ) -> Result<Self, InboxError> {
        let read = Self::read_all(inbox, sources, limit, now);
        let no_answer = |_| InboxError::Unavailable("no answer in time".to_owned());
        let read = tokio::time::timeout(GAUGES_TIMEOUT, read).await;
        read.map_err(no_answer).flatten()
    }

    async fn read_all(
        inbox: &impl DeliveryInbox,
        sources: &[SourceName],
        limit: usize,
        now: Timestamp,
    ) -> Result<Self, InboxError> {
        let pending = inbox.pending_gauges(now.minus(STREAM_DELAY), limit).await?;
        let mut silences = Vec::new();
        for source in sources {
            let since = inbox.silent_since(source, now).await?;
            let silence = if since > now.plus(MAX_CLOCK_DIFFERENCE) {
                SourceSilence::Unknown
            } else {
                SourceSilence::Lasting(now.since(since))
            };
            silences.push((source.clone(), silence));
        }
        let oldest_open = pending.oldest_open.map(|oldest| now.since(oldest));
        Ok(Self {
            pending,
            oldest_open: oldest_open.unwrap_or_default(),
            silences,
        })
    }

    /// The metrics of the whole inbox. Each [`SourceSilence`] is a metric of its source.
    pub fn samples(&self) -> [MetricSample; 5] {
        let pending = &self.pending;
        [
            MetricSample::time(&OLDEST_OPEN_SECONDS, self.oldest_open),
            MetricSample::count(&OPEN_ROWS, pending.open_rows),
            MetricSample::count(&DEAD_ROWS, pending.dead_rows),
            MetricSample::count(&HELD_ROWS, pending.held_rows),
            MetricSample::count(&CONFLICT_ROWS, pending.conflict_rows),
        ]
    }
}

/// How long a source has sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSilence {
    /// For this duration.
    Lasting(Duration),
    /// The time of the last notification is in the future: a clock was wrong when it was written.
    Unknown,
}

impl SourceSilence {
    /// The metric of its source; `None` if the duration is unknown.
    pub fn sample(self) -> Option<MetricSample> {
        match self {
            Self::Lasting(time) => Some(MetricSample::time(&SILENCE_HOURS, time)),
            Self::Unknown => None,
        }
    }
}
