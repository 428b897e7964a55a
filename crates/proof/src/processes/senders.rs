//! Senders over sockets. Each sends one notification after another, and repeats each until it is
//! answered 200, even if the receiver is killed meanwhile. Every answer is checked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sender_simulator::{
    Clock, MessageBody, ReceiverConnection, ReceiverResponse, Sender, SenderRequest, SystemClock,
    Timestamp,
    hmrc::{self, HmrcMessage},
};
use test_support::process::{HMRC_SECRET, PAY_SECRET};
use tokio::{sync::watch, task::JoinHandle};
use url::Url;

use super::{
    point::{KillPoint, KillTrap},
    recorder::HistoryRecorder,
};
use crate::{
    history::BodyGenuineness,
    simulate::{
        random::{SharedRandom, SplitMix64},
        receivers::source_of,
    },
};

/// A client's time limit, longer than any answer may take.
const MAX_WAIT: Duration = Duration::from_secs(6);
/// The pause before a sender tries again.
const PAUSE: Duration = Duration::from_millis(2);

/// The system's time, with seeded random numbers.
pub(crate) struct SeededClock(SharedRandom);

impl SeededClock {
    pub(crate) fn new(random: SplitMix64) -> Self {
        Self(SharedRandom::new(random))
    }

    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.0.draw(|random| random.below(limit))
    }
}

impl Clock for SeededClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn random(&self) -> u64 {
        self.0.draw(SplitMix64::next)
    }
}

/// A new message of either sender, and its request. Some messages of HMRC are too long for a row.
pub(crate) fn new_message(clock: &SeededClock) -> (Sender, SenderRequest) {
    let any = Url::parse("http://127.0.0.1/").expect("a URL");
    let sender = [Sender::Hmrc, Sender::GovukPay][usize::from(clock.below(2) == 1)];
    let secret = match sender {
        Sender::Hmrc => HMRC_SECRET,
        Sender::GovukPay => PAY_SECRET,
    };
    let body = if sender == Sender::Hmrc && clock.below(8) == 0 {
        long_body(clock)
    } else {
        let events = sender.events();
        let index = usize::try_from(clock.below(events.len() as u64)).unwrap_or_default();
        let body = sender.body(Some(events[index]), clock);
        body.expect("a name from the list")
    };
    (sender, sender.request(&body, secret, &any))
}

/// A body that is too long for a row of a table even when compressed.
fn long_body(clock: &SeededClock) -> MessageBody {
    let noise: String = (0..1_500)
        .map(|_| format!("{:016x}", clock.random()))
        .collect();
    let message = HmrcMessage::json(format!(r#"{{"noise":"{noise}"}}"#));
    hmrc::body(&message, hmrc::SAMPLE_BOX, clock)
}

/// The outcome in an answer; an error if the answer is not in the product's table.
fn judge(answer: &ReceiverResponse) -> Result<String, String> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let outcomes: &[(u16, &str, &str)] = &[
        (200, r#"{"status":"recorded"}"#, "recorded"),
        (200, r#"{"status":"duplicate"}"#, "duplicate"),
        (401, r#"{"error":"signature"}"#, "signature"),
        (503, r#"{"error":"inbox"}"#, "inbox"),
    ];
    let known = outcomes
        .iter()
        .find(|(status, body, _)| (*status, *body) == (answer.status, text.as_str()));
    match known {
        Some((_, _, outcome)) => Ok((*outcome).to_owned()),
        None => Err(format!("an unexpected answer: {} {text}", answer.status)),
    }
}

/// The state that all senders of a set-up share.
pub(crate) struct SenderContext {
    pub(crate) recorder: Arc<HistoryRecorder>,
    pub(crate) trap: Arc<KillTrap>,
    /// The URL of the receiver; `None` while it is down.
    pub(crate) receiver: watch::Receiver<Option<Url>>,
    pub(crate) stop: AtomicBool,
}

/// A sender's connection, and the URL to which it was opened.
pub(crate) type SenderConnection = Option<(Url, ReceiverConnection)>;

impl SenderContext {
    /// Posts once; `None` if there was no answer.
    pub(crate) async fn post(
        &self,
        sender: Sender,
        request: &SenderRequest,
        genuine: BodyGenuineness,
        connection: &mut SenderConnection,
    ) -> Option<String> {
        let root = {
            let mut receiver = self.receiver.clone();
            let root = receiver.wait_for(Option::is_some).await.ok()?;
            root.clone()?
        };
        let url = root.join(source_of(sender)).ok()?;
        let known = (source_of(sender), request.id.as_str());
        let posted = self.recorder.posted(known, &request.body, genuine);
        self.trap.request_begins();
        let answer = send(&url, request, connection).await;
        self.trap.request_ends();
        let Some(answer) = answer else {
            *connection = None;
            return None;
        };
        self.recorder.answered(&posted, answer.status);
        if answer.status == 200 {
            self.trap.reached(KillPoint::Answered);
        }
        let judged = judge(&answer);
        judged
            .map_err(|problem| self.recorder.problem(problem))
            .ok()
    }

    /// Posts until the message is acknowledged, and returns the outcome in that answer.
    pub(crate) async fn deliver(
        &self,
        sender: Sender,
        request: &SenderRequest,
        connection: &mut SenderConnection,
    ) -> String {
        loop {
            let outcome = self
                .post(sender, request, BodyGenuineness::Proven, connection)
                .await;
            match outcome.as_deref() {
                Some("recorded" | "duplicate") => return outcome.unwrap_or_default(),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Sends one notification, sometimes twice concurrently or again afterwards.
    async fn send_one(&self, clock: &SeededClock, connections: &mut [SenderConnection; 4]) {
        let (sender, request) = new_message(clock);
        let source = source_of(sender);
        let [first, second, ..] = connections
            .split_at_mut(usize::from(sender == Sender::Hmrc) * 2)
            .1
        else {
            return;
        };
        if clock.below(16) == 0 {
            let forged = forged(&request);
            self.post(sender, &forged, BodyGenuineness::Forged, first)
                .await;
        }
        self.recorder.created(source, &request.id, &request.body);
        let outcomes = if clock.below(4) == 0 {
            let (one, other) = tokio::join!(
                self.deliver(sender, &request, first),
                self.deliver(sender, &request, second)
            );
            vec![one, other]
        } else {
            vec![self.deliver(sender, &request, first).await]
        };
        self.recorder.ended(source, &request.id, true);
        if outcomes
            .iter()
            .filter(|outcome| *outcome == "recorded")
            .count()
            > 1
        {
            self.recorder
                .problem(format!("{source}:{} was recorded twice", request.id));
        }
        if clock.below(8) == 0 && self.deliver(sender, &request, first).await != "duplicate" {
            let id = &request.id;
            self.recorder
                .problem(format!("{source}:{id} is acknowledged, and recorded again"));
        }
    }

    /// Sends until stopped. The last notification is still sent until it is acknowledged.
    async fn send_all(self: Arc<Self>, clock: SeededClock, pause: Duration) {
        let mut connections: [SenderConnection; 4] = [None, None, None, None];
        while !self.stop.load(Ordering::SeqCst) {
            self.send_one(&clock, &mut connections).await;
            tokio::time::sleep(pause).await;
        }
    }
}

async fn send(
    url: &Url,
    request: &SenderRequest,
    connection: &mut SenderConnection,
) -> Option<ReceiverResponse> {
    let is_usable =
        |(to, connection): &(Url, ReceiverConnection)| to == url && connection.is_open();
    if !connection.as_ref().is_some_and(is_usable) {
        let opened = ReceiverConnection::open(url, MAX_WAIT).await.ok()?;
        *connection = Some((url.clone(), opened));
    }
    connection.as_mut()?.1.send(request).await.ok()
}

/// The same request with an invalid signature.
fn forged(request: &SenderRequest) -> SenderRequest {
    let mut forged = request.clone();
    for (name, value) in &mut forged.headers {
        if name.to_ascii_lowercase().contains("signature") {
            let last = if value.ends_with('0') { "1" } else { "0" };
            value.replace_range(value.len() - 1.., last);
        }
    }
    forged
}

/// Senders that send until they are stopped.
pub(crate) struct RunningSenders {
    sending: Arc<SenderContext>,
    running: Vec<JoinHandle<()>>,
}

impl RunningSenders {
    pub(crate) fn start(sending: SenderContext, count: u64, pause: Duration, seed: u64) -> Self {
        let sending = Arc::new(sending);
        let start = |part| {
            let clock = SeededClock::new(SplitMix64::of(seed, part));
            tokio::spawn(Arc::clone(&sending).send_all(clock, pause))
        };
        let running = (0..count).map(start).collect();
        Self { sending, running }
    }

    /// Stops the senders after their current notification, within `limit`.
    pub(crate) async fn stop(self, limit: Duration) {
        self.sending.stop.store(true, Ordering::SeqCst);
        let deadline = tokio::time::Instant::now() + limit;
        for sender in self.running {
            match tokio::time::timeout_at(deadline, sender).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.sending.recorder.problem(error.to_string()),
                Err(_) => self.sending.recorder.stuck("a sender".to_owned()),
            }
        }
    }
}
