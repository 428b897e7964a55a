//! The senders, which send messages on their schedules over a network that fails, and an attacker
//! without a secret.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use sender_simulator::{
    DeliveryAttempt, ExchangeOutcome, MessageBody, NextAction, Sender,
    apis::{
        pay_api::{PaymentLifecycle, SimulatedPayment},
        ppns::{BoxNotification, BoxNotificationStatus},
    },
    decide,
    hmrc::{HmrcMessage, SAMPLE_BOX},
    signature,
};

use super::{
    content::{content_of, digest_of},
    plan::{BURST, FaultKind},
    process::{SimulatedProcess, sender_time},
    random::SplitMix64,
    receivers::{ReceiverFront, ReceiverProcess, SimulatedRequest, index_of, secret_of, source_of},
    simulation::Simulation,
};
use crate::{
    history::{BodyGenuineness, RecordedEvent},
    sync::lock,
};

/// The API key of the account.
pub(crate) const PAY_API_KEY: &str = "api_test_simulated_0123456789";

/// A message, and the time at which it is first sent.
#[derive(Clone)]
pub(crate) struct OutgoingMessage {
    sender: Sender,
    body: MessageBody,
    payment: Option<String>,
    at: Duration,
}

const LIFECYCLES: [PaymentLifecycle; 6] = [
    PaymentLifecycle::Captured,
    PaymentLifecycle::Succeeded,
    PaymentLifecycle::Refunded,
    PaymentLifecycle::RefundedTwice,
    PaymentLifecycle::Failed,
    PaymentLifecycle::Expired,
];

/// Creates all messages of a run, before it begins.
pub(crate) fn messages(simulation: &Arc<Simulation>) -> Vec<OutgoingMessage> {
    let clock = SimulatedProcess::start(simulation, 0);
    let mut random = SplitMix64::of(simulation.plan.seed, 2);
    let mut messages = payment_messages(simulation, &clock, &mut random);
    messages.extend(box_messages(simulation, &clock, &mut random));
    let twins: Vec<_> = messages
        .iter()
        .filter(|message| message.sender == Sender::GovukPay && random.is(simulation.plan.twins))
        .map(|message| message.twin(&*clock))
        .collect();
    messages.extend(twins);
    for message in &messages {
        simulation.record(RecordedEvent::Created {
            source: source_of(message.sender).to_owned(),
            id: message.body.id.clone(),
            payment: message.payment.clone(),
            content: content_of(message.body.wire.as_bytes()),
        });
    }
    messages
}

/// Creates the payments in Pay's account, and their webhooks.
fn payment_messages(
    simulation: &Simulation,
    clock: &Arc<SimulatedProcess>,
    random: &mut SplitMix64,
) -> Vec<OutgoingMessage> {
    let (mut messages, now) = (Vec::new(), simulation.now());
    for _ in 0..simulation.plan.payments {
        let lifecycle = random.pick(&LIFECYCLES);
        let created = Duration::from_millis(random.below(simulation.plan.span * 500));
        let payment = SimulatedPayment::new(lifecycle, sender_time(now.plus(created)), &**clock);
        for webhook in payment.webhooks(&**clock) {
            messages.push(OutgoingMessage {
                sender: Sender::GovukPay,
                body: webhook.body,
                payment: Some(payment.id().to_owned()),
                at: webhook.at.since(sender_time(now)),
            });
        }
        lock(&simulation.accounts).add(PAY_API_KEY, [payment]);
    }
    messages
}

/// Creates the notifications in HMRC's box, and their pushes.
fn box_messages(
    simulation: &Simulation,
    clock: &Arc<SimulatedProcess>,
    random: &mut SplitMix64,
) -> Vec<OutgoingMessage> {
    let mut messages = Vec::new();
    let burst = random.below(simulation.plan.span * 500);
    for _ in 0..simulation.plan.boxed {
        let name = random.pick(&["json", "xml", "astral", "unicode"]);
        let message = HmrcMessage::named(name, &**clock).expect("the name is known");
        let at = match simulation.plan.boxed {
            ..=BURST => random.below(simulation.plan.span * 500),
            _ => burst + random.below(1_000),
        };
        let at = Duration::from_millis(at);
        let notification = BoxNotification::new(SAMPLE_BOX, message, &**clock);
        let notification = notification.created(sender_time(simulation.now().plus(at)));
        messages.push(OutgoingMessage {
            sender: Sender::Hmrc,
            body: notification.body(),
            payment: None,
            at,
        });
        let id = notification.id.clone();
        lock(&simulation.boxes).add(notification.with_status(BoxNotificationStatus::Acknowledged));
        lock(&simulation.acknowledged).insert(id, false);
    }
    messages
}

impl OutgoingMessage {
    /// The same event under another id.
    fn twin(&self, clock: &dyn sender_simulator::Clock) -> Self {
        let id = format!("{:026x}", u128::from(clock.random()) << 32 | 0xfeed);
        let text = self.body.wire.replace(&self.body.id, &id);
        Self {
            body: MessageBody {
                id,
                signed: text.clone(),
                wire: text,
            },
            at: self.at + Duration::from_millis(clock.random() % 120_000),
            ..self.clone()
        }
    }

    fn request(&self, secret: &str) -> SimulatedRequest {
        SimulatedRequest {
            sender: self.sender,
            signatures: vec![signature::sign(
                self.sender,
                secret,
                self.body.signed.as_bytes(),
            )],
            body: Bytes::copy_from_slice(self.body.wire.as_bytes()),
        }
    }

    fn ended(&self, acknowledged: bool) -> RecordedEvent {
        RecordedEvent::Ended {
            source: source_of(self.sender).to_owned(),
            id: self.body.id.clone(),
            acknowledged,
        }
    }
}

/// The senders' requests that an attacker has captured, with their ids.
pub(crate) type SeenRequests = Mutex<Vec<(SimulatedRequest, String)>>;

/// The network between the senders and the receivers.
pub(crate) struct SenderNetwork {
    pub(crate) simulation: Arc<Simulation>,
    pub(crate) front: ReceiverFront,
    pub(crate) captured: SeenRequests,
}

impl SenderNetwork {
    /// Posts a request to a receiver and records it. Returns the status of the answer, if any.
    async fn post(
        &self,
        environment: &ReceiverProcess,
        request: SimulatedRequest,
        id: &str,
        genuine: BodyGenuineness,
    ) -> Option<u16> {
        let (simulation, post) = (&self.simulation, self.simulation.next_number());
        simulation.record(RecordedEvent::Posted {
            post,
            source: source_of(request.sender).to_owned(),
            id: id.to_owned(),
            content: content_of(&request.body),
            digest: digest_of(&request.body),
            genuine,
        });
        let began = tokio::time::Instant::now();
        let status = environment.receive(request).await?;
        simulation.record(RecordedEvent::Answered {
            post,
            status,
            took: began.elapsed(),
        });
        Some(status)
    }

    /// Sends one message on the sender's schedule until it is acknowledged or given up.
    pub(crate) async fn send(self: Arc<Self>, message: OutgoingMessage, number: u64) {
        let simulation = Arc::clone(&self.simulation);
        let mut random = SplitMix64::of(simulation.plan.seed, 0x300 + number);
        tokio::time::sleep(message.at).await;
        let id = &message.body.id;
        self.set_status(&message, BoxNotificationStatus::Pending);
        if random.is(simulation.plan.unpushed) {
            return self.leave_unpushed(&message).await;
        }
        let mut attempt = DeliveryAttempt::FIRST;
        loop {
            if self.acknowledgement(id) == Some(true) {
                return simulation.record(message.ended(true)); // acknowledged by a pull
            }
            let outcome = self.exchange(&message, &mut random).await;
            let next = decide(message.sender, outcome, attempt).next;
            match next {
                NextAction::Acknowledged => {
                    self.set_status(&message, BoxNotificationStatus::Acknowledged);
                    if message.sender == Sender::Hmrc {
                        lock(&simulation.acknowledged).insert(id.clone(), true);
                    }
                    return simulation.record(message.ended(true));
                }
                NextAction::Repost(wait) | NextAction::Retry(wait) => {
                    let jitter = Duration::from_millis(random.below(900));
                    tokio::time::sleep(wait + jitter).await;
                }
                NextAction::GiveUp => {
                    if self.acknowledgement(id) == Some(false) {
                        self.set_status(&message, BoxNotificationStatus::Failed);
                    }
                    return simulation.record(message.ended(false));
                }
                NextAction::FollowWithoutBody | NextAction::FollowWhole => {
                    let what = format!("a redirect of {id}");
                    return simulation.record(RecordedEvent::Stuck { what });
                }
            }
            attempt = attempt.following(next).unwrap_or(attempt);
        }
    }

    /// Sets the status of a notification in HMRC's box.
    fn set_status(&self, message: &OutgoingMessage, status: BoxNotificationStatus) {
        if message.sender == Sender::Hmrc {
            lock(&self.simulation.boxes).set_status(&message.body.id, status);
        }
    }

    /// Whether HMRC's notification with this id is acknowledged; `None` if it has none.
    fn acknowledgement(&self, id: &str) -> Option<bool> {
        lock(&self.simulation.acknowledged).get(id).copied()
    }

    /// Ends a message that is not sent: the callback URL is not set, or the webhook is switched
    /// off.
    async fn leave_unpushed(&self, message: &OutgoingMessage) {
        tokio::time::sleep(Duration::from_secs(6 * 60 * 60)).await;
        let is_acknowledged = self.acknowledgement(&message.body.id) == Some(true);
        if !is_acknowledged {
            self.set_status(message, BoxNotificationStatus::Failed);
        }
        self.simulation.record(message.ended(is_acknowledged));
    }

    /// Makes one exchange. Returns its outcome for the sender's client.
    async fn exchange(
        self: &Arc<Self>,
        message: &OutgoingMessage,
        random: &mut SplitMix64,
    ) -> ExchangeOutcome {
        let (simulation, sender) = (&self.simulation, message.sender);
        let draws_fault = |kind, random: &mut SplitMix64| {
            !simulation.faults_ended()
                && simulation.plan.faults.has(kind)
                && random.is(2 * simulation.plan.rate)
        };
        if draws_fault(FaultKind::RequestLost, random) {
            return random.pick(&[ExchangeOutcome::Unreachable, ExchangeOutcome::TimedOut]);
        }
        let signed_with = simulation.signed_with[index_of(sender)].load(Ordering::Relaxed);
        let request = message.request(&secret_of(sender, signed_with));
        let environment = self.front.choose(random);
        let genuine = if environment.knows(sender, signed_with) {
            lock(&self.captured).push((request.clone(), message.body.id.clone()));
            BodyGenuineness::Proven
        } else {
            BodyGenuineness::Unknown
        };
        if draws_fault(FaultKind::RequestRepeated, random) {
            let (network, copy) = (Arc::clone(self), request.clone());
            let (environment, id) = (Arc::clone(&environment), message.body.id.clone());
            tokio::spawn(async move { network.post(&environment, copy, &id, genuine).await });
        }
        let (network, id) = (Arc::clone(self), message.body.id.clone());
        // A function continues after its caller has disconnected.
        let posting =
            tokio::spawn(async move { network.post(&environment, request, &id, genuine).await });
        let read_timeout = sender.client_profile().read_timeout;
        match tokio::time::timeout(read_timeout, posting).await {
            Err(_) => ExchangeOutcome::TimedOut,
            Ok(Ok(Some(_))) if draws_fault(FaultKind::AnswerLost, random) => random.pick(&[
                ExchangeOutcome::Closed,
                ExchangeOutcome::Reset,
                ExchangeOutcome::BodyCutShort,
                ExchangeOutcome::TimedOut,
            ]),
            Ok(Ok(Some(status))) => ExchangeOutcome::status(status),
            Ok(_) => ExchangeOutcome::Reset,
        }
    }

    /// Posts forgeries and captured requests, as an attacker can.
    pub(crate) async fn attack(self: Arc<Self>) {
        let simulation = Arc::clone(&self.simulation);
        let mut random = SplitMix64::of(simulation.plan.seed, 3);
        for _ in 0..random.between(1, 6) {
            let wait = random.below(simulation.plan.span * 1000);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let captured = lock(&self.captured).clone();
            let Some((request, id)) = captured.get(random.index(captured.len())) else {
                continue;
            };
            let environment = self.front.choose(&mut random);
            if random.is(300) {
                // A captured request is no longer genuine if its secret was removed.
                self.post(&environment, request.clone(), id, BodyGenuineness::Unknown)
                    .await;
                continue;
            }
            let forged = forge(request, &mut random);
            self.post(&environment, forged, id, BodyGenuineness::Forged)
                .await;
        }
    }

    /// Posts the first captured requests again, after their rows have expired.
    pub(crate) async fn replay_captured(&self) {
        let mut random = SplitMix64::of(self.simulation.plan.seed, 4);
        let captured = lock(&self.captured).clone();
        for (request, id) in captured.iter().take(2) {
            let environment = self.front.choose(&mut random);
            self.post(&environment, request.clone(), id, BodyGenuineness::Unknown)
                .await;
        }
    }
}

/// A request that its sender did not sign.
fn forge(request: &SimulatedRequest, random: &mut SplitMix64) -> SimulatedRequest {
    let mut forged = request.clone();
    let genuine = request.signatures.first().cloned().unwrap_or_default();
    let other = signature::sign(request.sender, "the secret of an attacker", &request.body);
    match random.below(9) {
        0 => forged.signatures = vec![other],
        1 => forged.signatures.clear(),
        2 => forged.signatures = vec![String::new()],
        3 => forged.signatures = vec![genuine[..genuine.len() - 1].to_owned()],
        4 => forged.signatures = vec![genuine[..8].to_owned()],
        5 => forged.signatures = vec![genuine.to_ascii_uppercase() + "A"],
        6 => forged.signatures = vec![genuine.clone(), other],
        7 => {
            forged.sender = match request.sender {
                Sender::Hmrc => Sender::GovukPay,
                Sender::GovukPay => Sender::Hmrc,
            };
        }
        _ => {
            let mut body = request.body.to_vec();
            body.push(b' ');
            forged.body = body.into();
        }
    }
    forged
}

/// Rotates the secret of a sender: it signs with the new secret, and the receivers install it, in
/// either order.
pub(crate) async fn rotate(simulation: Arc<Simulation>) {
    let mut random = SplitMix64::of(simulation.plan.seed, 5);
    let index = usize::from(random.is(500));
    let half = simulation.plan.span * 500;
    tokio::time::sleep(Duration::from_millis(random.below(half))).await;
    let lag = Duration::from_millis(random.below(half.min(60 * 60 * 1000)));
    let (first, second) = if random.is(500) {
        (&simulation.signed_with[index], &simulation.installed[index])
    } else {
        (&simulation.installed[index], &simulation.signed_with[index])
    };
    first.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(lag).await;
    second.fetch_add(1, Ordering::Relaxed);
}
