//! The machine of a run: its inbox, its clock, and the recorder of its events.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pillarbox::{
    domain::{Clock, SourceName, Timestamp},
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
    reconcile::{
        NetworkTransport, ProgressEvent, RunContext, RunOptions, RunOutcome, RunReporter,
        RunSleeper, SenderAccess, run,
    },
    senders::Acceptance,
};
use pillarbox_cli::sqlite::SqliteInbox;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::fused::CrashingInbox;
use test_support::{manual_clock::ManualClock, memory_folder::memory_folder};

/// The clock of the machine: the senders' own, unless it is wrong.
pub(crate) struct SkewedClock {
    clock: Arc<ManualClock>,
    wrong_by: AtomicI64,
}

impl SkewedClock {
    /// Sets it forward, or back, by this number of milliseconds.
    pub(crate) fn turn(&self, milliseconds: i64) {
        self.wrong_by.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().as_millis() + self.wrong_by.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

/// Records events as text.
#[derive(Default)]
pub(crate) struct RecordingReporter(pub(crate) Mutex<Vec<String>>);

impl RunReporter for RecordingReporter {
    fn on_event(&self, event: ProgressEvent<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

pub(crate) struct ReconcileMachine {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) local: Arc<SkewedClock>,
    pub(crate) inbox: CrashingInbox,
    pub(crate) stop: CancellationToken,
    pub(crate) reporter: RecordingReporter,
    _folder: TempDir,
}

impl ReconcileMachine {
    pub(crate) fn new(clock: &Arc<ManualClock>) -> Self {
        let folder = memory_folder();
        Self {
            clock: clock.clone(),
            local: Arc::new(SkewedClock {
                clock: clock.clone(),
                wrong_by: AtomicI64::new(0),
            }),
            inbox: CrashingInbox::new(
                SqliteInbox::create(&folder.path().join("inbox.db")).unwrap(),
            ),
            stop: CancellationToken::new(),
            reporter: RecordingReporter::default(),
            _folder: folder,
        }
    }

    pub(crate) async fn run(
        &self,
        sleeper: &dyn RunSleeper,
        source: &SourceName,
        access: &SenderAccess,
        options: &RunOptions,
    ) -> RunOutcome {
        let context = RunContext {
            inbox: &self.inbox,
            clock: &*self.local,
            sleeper,
            transport: &NetworkTransport,
            stop: &self.stop,
            holder: &"a test",
            reporter: &self.reporter,
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        run(source, access, options, &context).await
    }

    /// A deadline so far from now.
    pub(crate) fn within(&self, time: Duration) -> RunOptions {
        RunOptions {
            deadline: Some(self.local.now().plus(time)),
            ..RunOptions::default()
        }
    }

    pub(crate) async fn rows(&self) -> Vec<Row> {
        self.inbox
            .inbox
            .list(&RowFilter::default(), PageRequest::first(1_000_000))
            .await
            .unwrap()
            .rows
    }

    /// The ids that are stored.
    pub(crate) async fn stored(&self) -> BTreeSet<String> {
        self.rows().await.iter().map(Row::id).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}
