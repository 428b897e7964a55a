//! Reconcile, run by the timetable of a platform, in processes that end at any moment.

use std::{sync::Arc, time::Duration};

use pillarbox::{
    domain::{Clock, SourceName},
    reconcile::{
        RunContext, RunEnd, RunOptions, SenderAccess, TokioSleeper, govuk_pay::PayAccess,
        hmrc::HmrcAccess, run,
    },
    secrets::Secret,
    senders::Acceptance,
};
use sender_simulator::{
    Sender,
    apis::ppns::{PpnsApplication, PpnsBoxes},
    hmrc::SAMPLE_BOX,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    api::SimulatedTransport,
    plan::FaultKind,
    process::SimulatedProcess,
    random::SplitMix64,
    senders::PAY_API_KEY,
    simulation::{Simulation, lock},
    table::SimulatedInbox,
};

const CLIENT_ID: &str = "simulated-client";
pub(super) const CLIENT_SECRET: &str = "a secret of the simulated application";
/// The events that the webhook subscribes to.
const EVENTS: [&str; 5] = [
    "card_payment_succeeded",
    "card_payment_captured",
    "card_payment_refunded",
    "card_payment_failed",
    "card_payment_expired",
];

/// Opens the box and the account.
pub(crate) fn open(simulation: &Simulation) {
    open_box(&mut lock(&simulation.boxes));
    lock(&simulation.accounts).open(PAY_API_KEY);
}

/// Opens the box of the simulated application.
pub(crate) fn open_box(boxes: &mut PpnsBoxes) {
    boxes.register(PpnsApplication::new(CLIENT_ID, CLIENT_SECRET));
    boxes.open(SAMPLE_BOX, CLIENT_ID);
}

/// How a run reaches a sender.
pub(crate) fn access(sender: Sender) -> (SourceName, SenderAccess) {
    let base_url = Url::parse("http://127.0.0.1:1/").expect("a URL");
    let secret = |text: &str| Secret::new(text.to_owned());
    let (name, access) = match sender {
        Sender::Hmrc => (
            "hmrc",
            SenderAccess::Hmrc(HmrcAccess {
                base_url,
                boxes: vec![SAMPLE_BOX.to_owned()],
                client_id: secret(CLIENT_ID),
                client_secret: secret(CLIENT_SECRET),
                every: None,
            }),
        ),
        Sender::GovukPay => (
            "pay",
            SenderAccess::GovukPay(PayAccess {
                base_url,
                api_key: secret(PAY_API_KEY),
                every: Duration::from_secs(30 * 60),
                after: Duration::from_secs(3 * 60 * 60),
                events: Some(EVENTS.to_vec()),
            }),
        ),
    };
    (SourceName::new(name).expect("a name"), access)
}

/// One run in `process`; `None` if the process ended before.
pub(crate) async fn run_once(process: &Arc<SimulatedProcess>, sender: Sender) -> Option<RunEnd> {
    let (source, access) = access(sender);
    let inbox = SimulatedInbox(Arc::clone(process));
    let transport = SimulatedTransport(Arc::clone(process));
    let context = RunContext {
        inbox: &inbox,
        clock: &**process,
        sleeper: &TokioSleeper,
        transport: &transport,
        stop: &CancellationToken::new(),
        holder: &"a simulated process",
        reporter: &(),
        window: Acceptance(process.simulation.plan.acceptance()),
    };
    let options = RunOptions {
        deadline: Some(Clock::now(&**process).plus(Duration::from_secs(4 * 60))),
        ..RunOptions::default()
    };
    let outcome = process
        .run(run(&source, &access, &options, &context))
        .await?;
    Some(outcome.ended)
}

/// Whether HMRC waits for an acknowledgement.
pub(crate) fn is_waiting(simulation: &Simulation) -> bool {
    let counts = lock(&simulation.boxes).count_by_status();
    counts.pending + counts.failed > 0
}

/// Empties HMRC's box every few minutes, while something is in it; two runs meet at times.
pub(crate) async fn empty_boxes(simulation: Arc<Simulation>, number: u64) {
    let mut random = SplitMix64::of(simulation.plan.seed, 0x400 + number);
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(20_000, 20 * 60_000))).await;
        if simulation.is_calm() {
            return;
        }
        if is_waiting(&simulation) {
            let skewed = simulation.plan.faults.has(FaultKind::ClockJump) && random.is(300);
            let process = SimulatedProcess::start(&simulation, 0);
            if skewed {
                let hour = 60 * 60 * 1000;
                process.set_clock(
                    i64::try_from(random.below(12 * 60 * 60 * 1000)).unwrap_or(0) - 6 * hour,
                );
            }
            run_once(&process, Sender::Hmrc).await;
        }
    }
}

/// Compares Pay's payments every hour or so.
pub(crate) async fn compare_payments(simulation: Arc<Simulation>) {
    let mut random = SplitMix64::of(simulation.plan.seed, 6);
    loop {
        tokio::time::sleep(Duration::from_millis(
            random.between(3_600_000, 6 * 3_600_000),
        ))
        .await;
        if simulation.is_calm() {
            return;
        }
        run_once(&SimulatedProcess::start(&simulation, 0), Sender::GovukPay).await;
    }
}
