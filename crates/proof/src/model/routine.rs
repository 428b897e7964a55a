//! The routines of the product, and the next step of each after the replies so far.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use pillarbox::{
    delivery::{DeliveryWorker, LEASE_DURATION},
    domain::{Clock, SourceName, Timestamp},
    inbox::RetentionPolicy,
    receive::{Receiver, answer},
    reconcile::{
        ClientResponse, RequestError, ResponseError, RunContext, RunOptions, SenderTransport,
    },
    secrets::Keyring,
    senders::Acceptance,
    telemetry::RequestRecord,
};
use reqwest::RequestBuilder;
use sender_simulator::{
    Sender,
    apis::{SenderApi, ppns::PpnsBoxes},
};
use tokio_util::sync::CancellationToken;

use super::{
    answer_cache::AnswerCache,
    effect::TableChange,
    messages::{BEGIN, ModelMessages},
    script::{ModelDestination, ModelInbox, ReplyScript, ScriptedCall, ScriptedReply},
    state::{ModelProcess, hash_of},
};
use crate::{
    simulate::{
        api::{acknowledged_ids, api_request},
        process::sender_time,
        receivers::source_with,
        reconciler::{access, open_box},
    },
    sync::lock,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The routine of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ModelRoutine {
    /// `Receiver::handle`, with one copy of a message.
    Receive { message: usize, at: Timestamp },
    /// `DeliveryWorker::process`, for one key and with this lease id.
    Attempt {
        slot: usize,
        at: Timestamp,
        lease: u64,
    },
    /// `reconcile::run`, from its first list to the next.
    Pull { at: Timestamp },
}

impl ModelRoutine {
    /// Moves the start of the routine when the time becomes `now`. A claim in progress keeps its
    /// age, up to the duration of a lease. Otherwise the times of the replies are enough.
    pub(super) fn advance_time(&mut self, now: Timestamp, is_claiming: bool) {
        let (Self::Receive { at, .. } | Self::Attempt { at, .. } | Self::Pull { at }) = self;
        let age = now.since(*at).min(LEASE_DURATION + Duration::from_secs(1));
        *at = if is_claiming { BEGIN.minus(age) } else { BEGIN };
    }
}

/// The next step of a routine.
#[derive(Clone, Debug)]
pub(super) enum RoutineStep {
    /// The routine makes a call.
    Calls(Box<ScriptedCall>),
    /// The routine ends, and the sender gets this status.
    Answers(u16),
    /// The routine ends, or has no further effect.
    Ended,
}

/// Cached results of routines and of the table: the next step after a list of replies, and the
/// change of the rows by a call.
pub(super) struct RoutineResults {
    pub(super) messages: ModelMessages,
    pub(super) changes: AnswerCache<TableChange>,
    steps: AnswerCache<RoutineStep>,
}

impl RoutineResults {
    pub(super) fn new() -> Self {
        Self {
            messages: ModelMessages::new(),
            changes: AnswerCache::default(),
            steps: AnswerCache::default(),
        }
    }

    /// The next step of a process.
    pub(super) fn step(&self, process: &ModelProcess) -> Arc<RoutineStep> {
        self.steps.get(hash_of(process), || {
            let (routine, replies) = process;
            let replies: Vec<_> = (replies.iter())
                .map(|(at, reply)| (*at, reply.in_script(&self.messages)))
                .collect();
            run(&self.messages, *routine, &replies)
        })
    }
}

/// Runs a routine with these replies, up to the next call.
pub(super) fn run(
    messages: &ModelMessages,
    routine: ModelRoutine,
    replies: &[(Timestamp, ScriptedReply)],
) -> RoutineStep {
    // The product sets timers, which never expire while time is paused.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let script = |at, random| ReplyScript::new(at, random, replies.iter().cloned());
    let (script, ended) = match routine {
        ModelRoutine::Receive { message, at } => {
            let script = script(at, 0);
            let status = receive(&script, messages, message).now_or_never();
            (script, status.map(RoutineStep::Answers))
        }
        ModelRoutine::Attempt { slot, at, lease } => {
            let script = script(at, lease);
            let attempt = attempt(&script, messages, slot).now_or_never();
            (script, attempt.map(|()| RoutineStep::Ended))
        }
        ModelRoutine::Pull { at } => {
            let script = script(at, 0);
            let run = pull(&script, messages).now_or_never();
            (script, run.map(|()| RoutineStep::Ended))
        }
    };
    let next = script
        .next_call()
        .map(|call| RoutineStep::Calls(Box::new(call)));
    ended.or(next).unwrap_or(RoutineStep::Ended)
}

async fn receive(script: &Arc<ReplyScript>, messages: &ModelMessages, message: usize) -> u16 {
    let receiver = Receiver::new(
        Keyring::fixed(Sender::ALL.map(|sender| source_with(sender, 0..=0))),
        Arc::new(ModelInbox(Arc::clone(script))),
        Acceptance(60 * DAY),
        Arc::clone(script) as Arc<dyn Clock>,
    );
    let mut record = RequestRecord::default();
    let mut request = messages.requests[message].clone();
    let result = receiver.handle(&mut request, &mut record).await;
    answer(&result, &mut record).status
}

async fn attempt(script: &Arc<ReplyScript>, messages: &ModelMessages, slot: usize) {
    let worker = DeliveryWorker::new(
        Arc::new(ModelInbox(Arc::clone(script))),
        ModelDestination(Arc::clone(script)),
        Arc::clone(script) as Arc<dyn Clock>,
        RetentionPolicy {
            retention: 90 * DAY,
        },
    );
    drop(worker.process(&messages.keys[slot]).await);
}

async fn pull(script: &Arc<ReplyScript>, messages: &ModelMessages) {
    let (source, access): (SourceName, _) = access(Sender::Hmrc);
    let mut boxes = PpnsBoxes::new();
    open_box(&mut boxes);
    boxes.add(messages.boxed.clone());
    let transport = ScriptedTransport {
        script: Arc::clone(script),
        boxes: Mutex::new(boxes),
        lists: AtomicU32::new(0),
    };
    let context = RunContext {
        inbox: &ModelInbox(Arc::clone(script)),
        clock: &**script,
        sleeper: &**script,
        transport: &transport,
        stop: &CancellationToken::new(),
        holder: &"a process of the model",
        reporter: &(),
        window: Acceptance(60 * DAY),
    };
    let options = RunOptions::default();
    pillarbox::reconcile::run(&source, &access, &options, &context).await;
}

/// HMRC's API. The first list contains the notification. The second never returns, because it would
/// belong to another run.
struct ScriptedTransport {
    script: Arc<ReplyScript>,
    boxes: Mutex<PpnsBoxes>,
    lists: AtomicU32,
}

impl SenderTransport for ScriptedTransport {
    fn send(
        &self,
        request: RequestBuilder,
        _: usize,
    ) -> BoxFuture<'_, Result<ClientResponse, ResponseError>> {
        let request = request.build().expect("the product's requests are whole");
        self.exchange(request).boxed()
    }
}

impl ScriptedTransport {
    async fn exchange(&self, request: reqwest::Request) -> Result<ClientResponse, ResponseError> {
        let path = request.url().path();
        if path.ends_with("/acknowledge") {
            return self.acknowledge(&request).await;
        }
        if path.ends_with("/notifications") && self.lists.fetch_add(1, Ordering::Relaxed) > 0 {
            return std::future::pending().await;
        }
        let now = sender_time(Clock::now(&*self.script));
        let response = lock(&self.boxes).answer(&api_request(&request), now, &*self.script);
        Ok(ClientResponse {
            status: response.status,
            body: response.body.into(),
        })
    }

    async fn acknowledge(
        &self,
        request: &reqwest::Request,
    ) -> Result<ClientResponse, ResponseError> {
        let call = ScriptedCall::Acknowledge(acknowledged_ids(request));
        match self.script.call(call).await {
            ScriptedReply::Acknowledged => Ok(ClientResponse {
                status: 204,
                body: Bytes::new(),
            }),
            _ => Err(ResponseError::Unanswered(RequestError::Late)),
        }
    }
}
