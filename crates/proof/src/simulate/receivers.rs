//! The receivers: replicas or environments of a function. Each is a process that may crash at any
//! instant.

use std::{
    borrow::Cow,
    ops::RangeInclusive,
    sync::{Arc, Mutex, atomic::Ordering},
};

use bytes::Bytes;
use pillarbox::{
    domain::{Clock, SourceName},
    receive::{HttpRequest, Receiver, Refusal, answer},
    secrets::{Keyring, Secret},
    senders::{Acceptance, SenderKind, SigningKey, Source},
    telemetry::RequestRecord,
};
use sender_simulator::Sender;

use super::{
    plan::FaultKind, process::SimulatedProcess, random::SplitMix64, simulation::Simulation,
    table::SimulatedInbox,
};
use crate::sync::lock;

/// A request on its way to a receiver.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedRequest {
    pub(crate) sender: Sender,
    pub(crate) signatures: Vec<String>,
    pub(crate) body: Bytes,
}

impl HttpRequest for SimulatedRequest {
    fn method(&self) -> &str {
        "POST"
    }

    fn path(&self) -> &str {
        match self.sender {
            Sender::Hmrc => "/hmrc",
            Sender::GovukPay => "/pay",
        }
    }

    fn query(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let signature = match self.sender {
            Sender::Hmrc => "x-hub-signature",
            Sender::GovukPay => "pay-signature",
        };
        let is_signature = name.eq_ignore_ascii_case(signature);
        let values = self.signatures.iter().filter(|_| is_signature);
        values.map(String::as_bytes).collect()
    }

    async fn body(&mut self) -> Result<Bytes, Refusal> {
        Ok(self.body.clone())
    }
}

/// The name of a sender's source.
pub(crate) fn source_of(sender: Sender) -> &'static str {
    match sender {
        Sender::Hmrc => "hmrc",
        Sender::GovukPay => "pay",
    }
}

/// The secret of a sender after this number of rotations.
pub(crate) fn secret_of(sender: Sender, replaced: u64) -> String {
    match sender {
        Sender::Hmrc => format!("ABCDEFGHIJKLMNOPQRSTUVWXYZ23456{}", replaced % 8),
        Sender::GovukPay => format!("webhook_test_7mrp1d5lsa5pdfs2bvim2f9c{replaced:02}"),
    }
}

/// The sender's index in the simulation's arrays.
pub(crate) fn index_of(sender: Sender) -> usize {
    usize::from(sender == Sender::GovukPay)
}

fn configured(simulation: &Simulation, sender: Sender) -> Source {
    let installed = simulation.installed[index_of(sender)].load(Ordering::Relaxed);
    // The newest secret and the previous one.
    source_with(sender, installed.saturating_sub(1)..=installed)
}

/// A source with the secrets after these numbers of rotations, the newest first.
pub(crate) fn source_with(sender: Sender, kept: RangeInclusive<u64>) -> Source {
    let kind = match sender {
        Sender::Hmrc => SenderKind::HMRC,
        Sender::GovukPay => SenderKind::GOVUK_PAY,
    };
    let key = |replaced: u64| {
        let secret = Secret::new(secret_of(sender, replaced));
        SigningKey::new(kind, format!("{}:env:SIMULATED", replaced + 1), &secret)
    };
    Source {
        name: SourceName::new(source_of(sender)).expect("a valid name"),
        kind,
        keys: kept.rev().map(key).collect(),
    }
}

/// One receiver and its process.
pub(crate) struct ReceiverProcess {
    pub(crate) process: Arc<SimulatedProcess>,
    receiver: Receiver<SimulatedInbox>,
    /// The secrets that were installed when it started.
    installed: [u64; 2],
}

impl ReceiverProcess {
    fn start(simulation: &Arc<Simulation>, skew: i64) -> Arc<Self> {
        let process = SimulatedProcess::start(simulation, skew);
        let keyring = Keyring::fixed(Sender::ALL.map(|sender| configured(simulation, sender)));
        let receiver = Receiver::new(
            keyring,
            Arc::new(SimulatedInbox(Arc::clone(&process))),
            Acceptance(simulation.plan.acceptance()),
            Arc::clone(&process) as Arc<dyn Clock>,
        );
        Arc::new(Self {
            process,
            receiver,
            installed: installed(simulation),
        })
    }

    /// Whether it accepts the sender's current signatures.
    pub(crate) fn knows(&self, sender: Sender, signed_with: u64) -> bool {
        let installed = self.installed[index_of(sender)];
        signed_with == installed || signed_with + 1 == installed
    }

    /// Receives one request; `None` if the process crashed before the answer.
    pub(crate) async fn receive(&self, mut request: SimulatedRequest) -> Option<u16> {
        let mut record = RequestRecord::default();
        let work = self.receiver.handle(&mut request, &mut record);
        let result = self.process.run(work).await?;
        Some(answer(&result, &mut record).status)
    }
}

fn installed(simulation: &Simulation) -> [u64; 2] {
    [0, 1].map(|index: usize| simulation.installed[index].load(Ordering::Relaxed))
}

/// Several receivers behind one address.
pub(crate) struct ReceiverFront {
    simulation: Arc<Simulation>,
    environments: Mutex<Vec<Arc<ReceiverProcess>>>,
}

impl ReceiverFront {
    pub(crate) fn new(simulation: &Arc<Simulation>) -> Self {
        let environments =
            (0..simulation.plan.receivers).map(|_| ReceiverProcess::start(simulation, 0));
        Self {
            simulation: Arc::clone(simulation),
            environments: Mutex::new(environments.collect()),
        }
    }

    /// A random receiver, restarted if it has crashed or has old secrets.
    pub(crate) fn choose(&self, random: &mut SplitMix64) -> Arc<ReceiverProcess> {
        let simulation = &self.simulation;
        let mut environments = lock(&self.environments);
        let index = random.index(environments.len());
        let environment = &mut environments[index];
        let is_old = environment.installed != installed(simulation);
        if environment.process.has_ended() || is_old {
            *environment = ReceiverProcess::start(simulation, environment.process.skew());
        }
        let may_jump =
            !simulation.faults_ended() && simulation.plan.faults.has(FaultKind::ClockJump);
        if may_jump && random.is(100) {
            environment.process.jump_clock(random);
        }
        Arc::clone(environment)
    }
}
