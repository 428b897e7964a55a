//! Kills `serve` under load, on an inbox file and on a table.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pillarbox::inbox::dynamodb::DynamoInbox;
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use test_support::{
    binary,
    endpoint::ConsumerEndpoint,
    fault_proxy::FaultProxy,
    process::{FREE_PORTS, ProgramFolder, RunningServe},
    sqlite_copy::SqliteCopy,
    table,
};
use tokio::{
    sync::watch,
    task::{JoinSet, block_in_place},
    time::{Instant, sleep},
};
use url::Url;

use super::{LaneOutcome, below};
use crate::{
    processes::{
        destination::EventSink,
        point::{KillPoint, KillTrap, LEAST_IN_FLIGHT},
        recorder::HistoryRecorder,
        rows::{drain_table, found_rows, remaining_rows},
        senders::{RunningSenders, SenderContext},
        table_calls::observed_table,
    },
    simulate::random::SplitMix64,
};

/// The number of kills in one set-up. A row that is interrupted by several kills has a longer
/// backoff each time.
const KILLS: usize = 15;
const SENDERS: u64 = 24;
/// The pause between two notifications of one sender.
const PAUSE: Duration = Duration::from_millis(15);
/// The time limit for reaching a point. After it, the process is killed at any point.
const POINT_LIMIT: Duration = Duration::from_secs(8);
/// The time until the destination has read all requests of a killed process.
const SETTLED: Duration = Duration::from_millis(50);
/// The time limit for delivering all rows, with several backoffs in a row.
const DRAINED: Duration = Duration::from_secs(400);

/// The kind of inbox of a `serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InboxKind {
    Sqlite,
    Table,
}

impl InboxKind {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Table => "table",
        }
    }
}

/// Kills processes at these points, set-up after set-up. A set-up drains while the next one runs.
pub(crate) async fn run_lane(kind: InboxKind, points: Vec<KillPoint>, seed: u64) -> LaneOutcome {
    let (mut outcome, mut draining) = (LaneOutcome::default(), JoinSet::new());
    for (number, points) in points.chunks(KILLS).enumerate() {
        let mut set_up = ServeSetUp::new(kind, seed ^ number as u64).await;
        for &point in points {
            let (point, in_flight) = set_up.kill_at(point).await;
            outcome.counts.add(kind.name(), point, in_flight);
        }
        draining.spawn(set_up.drain(format!("{} {number}", kind.name())));
    }
    outcome.merge_all(draining).await;
    outcome
}

/// An inbox with a destination and senders, and a process that is replaced after each kill.
struct ServeSetUp {
    folder: ProgramFolder,
    /// The table and the proxy in front of it; `None` if the inbox is a file.
    table: Option<(DynamoInbox, FaultProxy)>,
    recorder: Arc<HistoryRecorder>,
    trap: Arc<KillTrap>,
    process: Arc<AtomicUsize>,
    receiver: watch::Sender<Option<Url>>,
    senders: RunningSenders,
    random: SplitMix64,
    _endpoint: ConsumerEndpoint,
}

impl ServeSetUp {
    async fn new(kind: InboxKind, seed: u64) -> Self {
        let recorder = Arc::new(HistoryRecorder::new(kind == InboxKind::Table));
        let (trap, process) = (Arc::<KillTrap>::default(), Arc::new(AtomicUsize::new(0)));
        let sink = EventSink::new(&recorder, &trap, &process, SplitMix64::of(seed, 1));
        let endpoint = sink.endpoint();
        let (table, inbox) = match kind {
            InboxKind::Sqlite => (None, "kind = \"sqlite\"\npath = \"inbox.db\"\n".to_owned()),
            InboxKind::Table => {
                let inbox = table::fresh("kill").await;
                let proxy = observed_table(&recorder, &trap, &process, &Arc::default()).await;
                let text = format!("kind = \"dynamodb\"\ntable = \"{}\"\n", inbox.table());
                (Some((inbox, proxy)), text)
            }
        };
        let folder = ProgramFolder::with(&format!("{}[inbox]\n{inbox}", endpoint.configuration()));
        let (receiver, watched) = watch::channel(None);
        let sending = SenderContext {
            recorder: Arc::clone(&recorder),
            trap: Arc::clone(&trap),
            receiver: watched,
            stop: AtomicBool::new(false),
        };
        let senders = RunningSenders::start(sending, SENDERS, PAUSE, seed);
        Self {
            folder,
            table,
            recorder,
            trap,
            process,
            receiver,
            senders,
            random: SplitMix64::of(seed, 2),
            _endpoint: endpoint,
        }
    }

    fn spawn(&self) -> RunningServe {
        self.process.fetch_add(1, Ordering::SeqCst);
        // A write beyond the limit must be an error, and must not end the process.
        let shell = ["-c", r#"trap "" XFSZ; exec "$0" "$@""#];
        let mut command = self.folder.command_of("sh", &shell);
        command.arg(binary("pillarbox-under-test")).arg("serve");
        command.args(FREE_PORTS).env("PILLARBOX_LOG", "warn");
        if let Some((_, proxy)) = &self.table {
            command.envs(table::variables());
            command.env("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
        }
        let serve = RunningServe::spawn(&mut command);
        self.trap.set_target(Some(serve.pid()));
        serve
    }

    /// Starts a process and waits until it is ready.
    fn start(&self) -> RunningServe {
        let mut serve = self.spawn();
        block_in_place(|| serve.await_ready());
        self.receiver.send_replace(Some(serve.url("pay")));
        serve
    }

    /// Kills a process at `point`, or at any point if it does not reach that in time. Returns the
    /// point of the kill, and the number of requests in flight.
    async fn kill_at(&mut self, point: KillPoint) -> (KillPoint, usize) {
        let mut serve = if point == KillPoint::Start {
            let serve = self.spawn();
            sleep(below(&mut self.random, Duration::from_millis(150))).await;
            serve
        } else {
            self.start()
        };
        let (is_reached, in_flight) = self.wait_for(point, &serve).await;
        self.receiver.send_replace(None);
        self.trap.set_target(None);
        block_in_place(|| serve.kill());
        sleep(SETTLED).await;
        self.recorder.killed(self.process.load(Ordering::SeqCst));
        self.read_file().await;
        (
            if is_reached { point } else { KillPoint::Random },
            in_flight,
        )
    }

    async fn wait_for(&mut self, point: KillPoint, serve: &RunningServe) -> (bool, usize) {
        let is_reached = match point {
            KillPoint::Start => true,
            KillPoint::Random => {
                sleep(below(&mut self.random, Duration::from_millis(300))).await;
                self.await_load().await
            }
            KillPoint::Draining => {
                self.await_load().await;
                let in_flight = self.trap.in_flight();
                serve.signal(Signal::TERM);
                sleep(below(&mut self.random, Duration::from_millis(20))).await;
                return (true, in_flight);
            }
            KillPoint::DiskFull => {
                sleep(Duration::from_millis(100)).await;
                limit_files(serve, Some(self.random.below(3) * 40_000));
                sleep(below(&mut self.random, Duration::from_millis(400))).await;
                if self.random.is(500) {
                    limit_files(serve, None);
                    sleep(below(&mut self.random, Duration::from_millis(300))).await;
                }
                self.await_load().await
            }
            KillPoint::LogWritten => self.await_load().await && self.log_is_written().await,
            named => {
                sleep(below(&mut self.random, Duration::from_millis(200))).await;
                let trap = Arc::clone(&self.trap);
                if trap.kill_at(named, POINT_LIMIT).await {
                    return (true, LEAST_IN_FLIGHT.max(trap.in_flight()));
                }
                false
            }
        };
        (is_reached, self.trap.in_flight())
    }

    /// Waits until enough requests are in flight.
    async fn await_load(&self) -> bool {
        let end = Instant::now() + POINT_LIMIT;
        while self.trap.in_flight() < LEAST_IN_FLIGHT && Instant::now() < end {
            tokio::task::yield_now().await;
        }
        Instant::now() < end
    }

    /// Waits for the next write to the log of the inbox file.
    async fn log_is_written(&self) -> bool {
        let log: PathBuf = self.folder.path().join("inbox.db-wal");
        let written = || {
            std::fs::metadata(&log)
                .and_then(|found| found.modified())
                .ok()
        };
        let (before, end) = (written(), Instant::now() + POINT_LIMIT);
        while written() == before && Instant::now() < end {
            tokio::task::yield_now().await;
        }
        Instant::now() < end
    }

    /// Records the rows in the inbox file, while no process has it open.
    async fn read_file(&self) {
        if self.table.is_none()
            && let Some(copy) = block_in_place(|| SqliteCopy::of(self.folder.path()))
        {
            self.recorder.found(&found_rows(copy.inbox()).await);
        }
    }

    /// Waits until all rows are finished, and checks the history.
    async fn drain(self, name: String) -> LaneOutcome {
        let mut outcome = LaneOutcome::default();
        let mut serve = self.start();
        let recorder = Arc::clone(&self.recorder);
        self.senders.stop(DRAINED).await;
        let end = Instant::now() + DRAINED;
        if let Some((inbox, _)) = &self.table {
            drain_table(inbox, &recorder, DRAINED).await;
        } else {
            while block_in_place(|| self.folder.count("open")) > 0 && Instant::now() < end {
                sleep(Duration::from_millis(500)).await;
            }
        }
        self.trap.set_target(None);
        if !block_in_place(|| serve.stop(Signal::TERM)).success() {
            recorder.problem("serve exits with an error".to_owned());
        }
        match &self.table {
            Some((inbox, _)) => recorder.finish(remaining_rows(inbox).await),
            None => {
                if let Some(copy) = SqliteCopy::of(self.folder.path()) {
                    recorder.found(&found_rows(copy.inbox()).await);
                    recorder.finish(remaining_rows(copy.inbox()).await);
                }
            }
        }
        outcome.judge(&name, &recorder);
        outcome
    }
}

/// Limits the size of the files that a process writes; `None` removes the limit.
fn limit_files(serve: &RunningServe, current: Option<u64>) {
    let limit = Rlimit {
        current,
        maximum: None,
    };
    prlimit(Some(serve.pid()), Resource::Fsize, limit).expect("a child's limit can be set");
}
