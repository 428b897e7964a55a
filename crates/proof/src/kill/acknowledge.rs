//! Kills runs of `reconcile` during an acknowledgement at HMRC: before it takes effect, or after
//! that but before its response.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use sender_simulator::{
    SystemClock,
    apis::{
        PpnsApi, ScriptedStep,
        ppns::{PpnsApplication, PpnsBoxes, PpnsEndpoint},
    },
    hmrc::HmrcMessage,
};
use test_support::{
    hmrc_box::{BOX, CLIENT, SECRET},
    process::{ProgramFolder, RunningServe},
    sqlite_copy::SqliteCopy,
};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, block_in_place},
    time::{Instant, sleep},
};

use super::{KillPoint, LaneOutcome, below};
use crate::{
    history::RecordedEvent,
    processes::{
        destination::EventSink,
        point::KillTrap,
        recorder::HistoryRecorder,
        rows::{found_rows, remaining_rows},
    },
    simulate::random::SplitMix64,
    sync::lock,
};

/// The number of concurrent runs. Each mostly waits, because HMRC allows one list in ten seconds.
const MAX_CONCURRENT_RUNS: usize = 8;
/// The largest number of notifications in the box. An acknowledgement has at most 100.
const NOTIFICATIONS: u64 = 120;
const LIMIT: Duration = Duration::from_secs(120);

/// Kills this number of runs.
pub(crate) async fn run_lane(times: u64, seed: u64) -> LaneOutcome {
    let (mut outcome, mut running) = (LaneOutcome::default(), JoinSet::new());
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_RUNS));
    for number in 0..times {
        let point = [KillPoint::AcknowledgeSeen, KillPoint::AcknowledgeDone][(number % 2) as usize];
        let permits = Arc::clone(&permits);
        running.spawn(async move {
            let _permit = permits.acquire().await;
            let killed = kill_at(point, &mut SplitMix64::of(seed, number)).await;
            (killed, point, number)
        });
    }
    while let Some(killed) = running.join_next().await {
        match killed {
            Ok((recorder, point, number)) => {
                outcome.counts.add("pull", point, 0);
                outcome.judge(&format!("pull {number}"), &recorder);
            }
            Err(error) => outcome.violations.push(format!("a run ended: {error}")),
        }
    }
    outcome
}

/// HMRC with one box.
async fn hmrc() -> PpnsApi {
    let ppns = PpnsApi::start(0, Arc::new(SystemClock))
        .await
        .expect("a free port");
    ppns.with(|boxes| {
        boxes.register(PpnsApplication::new(CLIENT, SECRET));
        boxes.open(BOX, CLIENT);
    });
    ppns
}

/// Kills one run at `point`. Then another run completes, and `serve` delivers all rows.
async fn kill_at(point: KillPoint, random: &mut SplitMix64) -> Arc<HistoryRecorder> {
    let recorder = Arc::new(HistoryRecorder::new(false));
    recorder.set_reconciled();
    let (trap, process) = (Arc::<KillTrap>::default(), Arc::new(AtomicUsize::new(1)));
    let endpoint = EventSink::new(&recorder, &trap, &process, random.clone()).endpoint();
    let ppns = hmrc().await;
    let folder = ProgramFolder::with(&format!(
        "{}[inbox]\nkind = \"sqlite\"\npath = \"inbox.db\"\n\
         [sources.hmrc.pull]\nbase_url = \"{}\"\nboxes = [\"{BOX}\"]\n\
         client_id = \"env:CLIENT_ID\"\nclient_secret = \"env:CLIENT_SECRET\"\n",
        endpoint.configuration(),
        ppns.base_url()
    ));
    assert_eq!(block_in_place(|| folder.run(&["inbox", "init"])).code, 0);
    for number in 0..random.between(1, NOTIFICATIONS) {
        let id = ppns.post(BOX, HmrcMessage::json(format!(r#"{{"n":{number}}}"#)));
        recorder.created("hmrc", &id, b"");
    }
    let mut run = start(&folder);
    let pid = Arc::new(Mutex::new(Some(run.pid())));
    ppns.script(PpnsEndpoint::Acknowledge, [step(point, &pid)]);
    if point == KillPoint::AcknowledgeSeen {
        until(|| called(&ppns) > 0).await;
        sleep(below(random, Duration::from_millis(2))).await;
        run.signal(Signal::KILL);
    }
    until(|| run.has_ended()).await;
    lock(&pid).take();
    run.kill();
    record_found(&folder, &recorder, &ppns, &mut 0).await;

    process.fetch_add(1, Ordering::SeqCst);
    let mut seen = called(&ppns);
    let mut run = start(&folder);
    until(|| run.has_ended()).await;
    record_found(&folder, &recorder, &ppns, &mut seen).await;
    deliver(&folder, &recorder).await;
    for notification in ppns.with(|boxes| boxes.notifications().to_vec()) {
        if !ppns.calls().acknowledged().contains(&notification.id) {
            let (source, id) = ("hmrc".to_owned(), notification.id);
            recorder.push_event(RecordedEvent::Unacknowledged { source, id });
        }
    }
    recorder
}

/// Starts a run of `reconcile`.
fn start(folder: &ProgramFolder) -> RunningServe {
    let mut command = folder.command(&["reconcile", "hmrc"]);
    command
        .env("CLIENT_ID", CLIENT)
        .env("CLIENT_SECRET", SECRET);
    RunningServe::spawn(&mut command)
}

/// The script of the first acknowledgement.
fn step(point: KillPoint, pid: &Arc<Mutex<Option<Pid>>>) -> ScriptedStep<PpnsBoxes> {
    if point == KillPoint::AcknowledgeSeen {
        return ScriptedStep::Hang;
    }
    let pid = Arc::clone(pid);
    ScriptedStep::then(move |_| {
        if let Some(pid) = *lock(&pid) {
            kill_process(pid, Signal::KILL).expect("the child is not reaped yet");
        }
    })
}

fn called(ppns: &PpnsApi) -> usize {
    ppns.calls().to(PpnsEndpoint::Acknowledge).len()
}

async fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "a run of reconcile takes too long");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Records the rows in the inbox, and the acknowledgements that HMRC accepted.
async fn record_found(
    folder: &ProgramFolder,
    recorder: &HistoryRecorder,
    ppns: &PpnsApi,
    seen: &mut usize,
) {
    let Some(copy) = SqliteCopy::of(folder.path()) else {
        return recorder.problem("there is no inbox".to_owned());
    };
    let rows = found_rows(copy.inbox()).await;
    for row in &rows {
        // Nothing was pushed, so every row is from HMRC's list.
        let (source, digest) = ("hmrc".to_owned(), row.digest);
        recorder.push_event(RecordedEvent::Listed { source, digest });
    }
    recorder.found(&rows);
    for call in ppns
        .calls()
        .to(PpnsEndpoint::Acknowledge)
        .iter()
        .skip(*seen)
    {
        let (source, ids) = ("hmrc".to_owned(), call.acknowledged());
        if !ids.is_empty() {
            recorder.push_event(RecordedEvent::PullAcknowledged { source, ids });
        }
    }
    *seen = called(ppns);
}

/// Delivers all rows with `serve`, and records the final rows.
async fn deliver(folder: &ProgramFolder, recorder: &HistoryRecorder) {
    let mut command = folder.serve_command();
    command
        .env("CLIENT_ID", CLIENT)
        .env("CLIENT_SECRET", SECRET);
    let mut serve = RunningServe::spawn(&mut command);
    block_in_place(|| serve.await_ready());
    let end = Instant::now() + LIMIT;
    while block_in_place(|| folder.count("open")) > 0 && Instant::now() < end {
        sleep(Duration::from_millis(500)).await;
    }
    block_in_place(|| serve.stop(Signal::TERM));
    if let Some(copy) = SqliteCopy::of(folder.path()) {
        recorder.found(&found_rows(copy.inbox()).await);
        recorder.finish(remaining_rows(copy.inbox()).await);
    }
}
