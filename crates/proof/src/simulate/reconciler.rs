//! Scheduled reconcile runs, in processes that may crash at any instant.

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
    api::SimulatedTransport, plan::FaultKind, process::SimulatedProcess, random::SplitMix64,
    receivers::source_of, senders::PAY_API_KEY, simulation::Simulation, table::SimulatedInbox,
};
use crate::sync::lock;

const CLIENT_ID: &str = "simulated-client";
pub(super) const CLIENT_SECRET: &str = "a secret of the simulated application";
/// The events of the webhook's subscription.
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

/// The source of a sender, and the access of reconcile to its API.
pub(crate) fn access(sender: Sender) -> (SourceName, SenderAccess) {
    let base_url = Url::parse("http://127.0.0.1:1/").expect("a URL");
    let secret = |text: &str| Secret::new(text.to_owned());
    let access = match sender {
        Sender::Hmrc => SenderAccess::Hmrc(HmrcAccess {
            base_url,
            boxes: vec![SAMPLE_BOX.to_owned()],
            client_id: secret(CLIENT_ID),
            client_secret: secret(CLIENT_SECRET),
            every: None,
        }),
        Sender::GovukPay => SenderAccess::GovukPay(PayAccess {
            base_url,
            api_key: secret(PAY_API_KEY),
            every: Duration::from_secs(30 * 60),
            after: Duration::from_secs(3 * 60 * 60),
            events: Some(EVENTS.to_vec()),
        }),
    };
    (
        SourceName::new(source_of(sender)).expect("a valid name"),
        access,
    )
}

/// Makes one run in `process`; `None` if the process crashed before its end.
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

/// Whether a notification is not acknowledged at HMRC.
pub(crate) fn is_waiting(simulation: &Simulation) -> bool {
    let counts = lock(&simulation.boxes).count_by_status();
    counts.pending + counts.failed > 0
}

/// Runs reconcile for HMRC every few minutes while its box has notifications. Two of these tasks
/// run, so runs may overlap.
pub(crate) async fn empty_boxes(simulation: Arc<Simulation>, number: u64) {
    let mut random = SplitMix64::of(simulation.plan.seed, 0x400 + number);
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(20_000, 20 * 60_000))).await;
        if simulation.faults_ended() {
            return;
        }
        if is_waiting(&simulation) {
            let skewed = simulation.plan.faults.has(FaultKind::ClockJump) && random.is(300);
            let process = SimulatedProcess::start(&simulation, 0);
            if skewed {
                let limit = 6 * 60 * 60 * 1000;
                process.set_clock(random.below(2 * limit).cast_signed() - limit.cast_signed());
            }
            run_once(&process, Sender::Hmrc).await;
        }
    }
}

/// Runs reconcile for Pay every one to six hours.
pub(crate) async fn compare_payments(simulation: Arc<Simulation>) {
    let mut random = SplitMix64::of(simulation.plan.seed, 6);
    loop {
        tokio::time::sleep(Duration::from_millis(
            random.between(3_600_000, 6 * 3_600_000),
        ))
        .await;
        if simulation.faults_ended() {
            return;
        }
        run_once(&SimulatedProcess::start(&simulation, 0), Sender::GovukPay).await;
    }
}
