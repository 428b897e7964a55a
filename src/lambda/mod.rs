//! The Lambda: one invocation, told apart by the names of its fields -> the work of this function's
//! role.
//!
//! What a function has no parts for is a foreign event to it: an error, and never a success,
//! because a stream takes any answer it can't read for one. Nothing is left running once an answer
//! is given.

mod deadline;
mod event;
mod fields;
mod http_event;
mod http_reply;
mod init_error;
mod invocation_log;
mod panic;
mod init;

mod stream;
mod role;
mod run;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    app::App,
    delivery::{
        AttemptCounts, DeliveryWorker, RunDeadline,
        stream_batch::{self, BatchOutcome},
        sweep::Sweeper,
    },
    destinations::Destination,
    domain::{Clock, Timestamp},
    inbox::{DeliveryInbox, Inbox, InboxError, ReceiveInbox, ReconcileInbox},
    receive::{self, HttpAnswer, Receiver, Refusal},
    reconcile::RunLimits,
    telemetry::{ReconcileRecord, RequestRecord},
};

pub use crate::reconcile::{Reconciler, ReconcilerDeps};
pub use event::{EventShape, PayloadVersion, shape};
use http_event::HttpEvent;
pub use http_reply::HttpReply;
use invocation_log::InvocationLog;
pub use role::{Role, RoleError};
pub use run::main;
pub use stream::StreamRecordError;

/// A function with the parts its role needs. It keeps nothing of an invocation.
pub struct LambdaFunction<I, D, W> {
    role: Role,
    receiver: Option<Receiver<I>>,
    batches: Option<Arc<DeliveryWorker<I, D, W>>>,
    sweeper: Option<Sweeper<I, D, W>>,
    reconciler: Option<Reconciler<I>>,
    is_warm: AtomicBool,
}

/// What is known of an invocation beside its event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Its name in every log.
    pub id: String,
    /// When the function is stopped.
    pub deadline: Timestamp,
}

/// What an invocation is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum InvocationReply {
    /// To a front.
    Http(HttpReply),
    /// To a stream.
    Batch(BatchOutcome),
    /// To a schedule, which reads nothing; a person who invokes it by hand does.
    Swept {
        /// How many were handed on.
        delivered: u64,
        /// How many were tried and are due again.
        retry: u64,
        /// How many ended as dead.
        dead: u64,
    },
    /// The same, to the schedule of reconciling.
    Reconciled {
        /// How many notifications were recorded that push had missed.
        recorded: usize,
        /// How many were acknowledged.
        acknowledged: usize,
        /// How many events of payments never came.
        missing: usize,
        /// How each source's run ended, in one word.
        ended: BTreeMap<String, &'static str>,
    },
}

/// Why an invocation has no answer. Said by shape and name, never by content.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// Not an event of this function's role.
    #[error("the function has the role {role}, and what came is {what}: check what invokes it")]
    Foreign {
        /// The function's role.
        role: Role,
        /// What came.
        what: &'static str,
    },
    /// A batch that can't be worked on.
    #[error("{0}")]
    Records(#[from] StreamRecordError),
    /// What is due can't be read.
    #[error("{0}")]
    Inbox(#[from] InboxError),
    /// No source could be reconciled, and no later run will be, unless somebody does something.
    #[error("nothing could be reconciled: {0}")]
    Reconcile(String),
    /// A bug.
    #[error("the program panicked: the log says where")]
    Panicked,
}

impl InvocationError {
    /// The failure in one word, for whoever counts them.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "ForeignEvent",
            Self::Records(_) => "MalformedRecord",
            Self::Inbox(_) => "Inbox",
            Self::Reconcile(_) => "Reconcile",
            Self::Panicked => "Panic",
        }
    }
}

impl<I: Inbox, D: Destination, W: Clock> LambdaFunction<I, D, W> {
    /// A function in `role`. `app` is what receiving needs, `worker` what handing on needs,
    /// `reconciler` what asking the senders needs; what the role doesn't need is left aside.
    pub fn new(
        role: Role,
        clock: Arc<W>,
        app: Option<App<I>>,
        worker: Option<Arc<DeliveryWorker<I, D, W>>>,
        reconciler: Option<Reconciler<I>>,
    ) -> Self {
        let worker = worker.filter(|_| role.hands_on());
        let receiver = |app: App<I>| app.receiver(clock);
        Self {
            role,
            receiver: app.filter(|_| role.receives()).map(receiver),
            sweeper: worker
                .clone()
                .filter(|_| role != Role::Process)
                .map(Sweeper::new),
            batches: worker.filter(|_| role != Role::Sweep),
            reconciler: reconciler.filter(|_| role.pulls()),
            is_warm: AtomicBool::new(false),
        }
    }

    /// Works on one invocation and says one line about it.
    pub async fn handle(
        &self,
        raw: &RawValue,
        invocation: &Invocation,
    ) -> Result<InvocationReply, InvocationError> {
        let is_cold = !self.is_warm.swap(true, Ordering::Relaxed);
        let mut line = InvocationLog::begin(self.role, invocation, is_cold);
        let done = panic::caught(self.work(raw, invocation, &mut line)).await;
        let done = done.unwrap_or(Err(InvocationError::Panicked));
        line.write(done.as_ref().err());
        done
    }

    async fn work(
        &self,
        raw: &RawValue,
        invocation: &Invocation,
        line: &mut InvocationLog,
    ) -> Result<InvocationReply, InvocationError> {
        let shape = shape(raw);
        let foreign = || InvocationError::Foreign {
            role: self.role,
            what: shape.as_str(),
        };
        match shape {
            EventShape::Http(payload) => {
                let receiver = self.receiver.as_ref().ok_or_else(foreign)?;
                let event = HttpEvent::read(raw, payload, invocation.deadline);
                let answer = respond(receiver, event, line.request()).await;
                Ok(InvocationReply::Http(HttpReply(answer)))
            }
            EventShape::Stream => {
                let worker = self.batches.as_ref().ok_or_else(foreign)?;
                batch(worker, raw, invocation, line)
                    .await
                    .map(InvocationReply::Batch)
            }
            EventShape::Sweep => {
                let sweeper = self.sweeper.as_ref().ok_or_else(foreign)?;
                let AttemptCounts {
                    delivered,
                    retry,
                    dead,
                    ..
                } = sweep(sweeper, invocation, line).await?;
                Ok(InvocationReply::Swept {
                    delivered,
                    retry,
                    dead,
                })
            }
            EventShape::Reconcile => {
                let reconciler = self.reconciler.as_ref().ok_or_else(foreign)?;
                reconcile(reconciler, invocation, line).await
            }
            EventShape::Foreign(_) => Err(foreign()),
        }
    }
}

/// Answers one request. Never fails, since a refusal is an answer, too.
async fn respond<I: ReceiveInbox>(
    receiver: &Receiver<I>,
    event: Result<HttpEvent<'_>, Refusal>,
    record: &mut RequestRecord,
) -> HttpAnswer {
    let result = match event {
        Ok(mut event) => receiver.handle(&mut event, record).await,
        Err(refusal) => Err(refusal),
    };
    receive::answer(&result, record)
}

async fn batch<I: DeliveryInbox, D: Destination, W: Clock>(
    worker: &Arc<DeliveryWorker<I, D, W>>,
    raw: &RawValue,
    invocation: &Invocation,
    line: &mut InvocationLog,
) -> Result<BatchOutcome, InvocationError> {
    let batch = stream::read(raw)?;
    let until = RunDeadline::deadline(invocation.deadline);
    let (outcome, tally) =
        stream_batch::run(worker, &batch, until, |attempt| line.note_attempt(attempt)).await;
    (line.records, line.counts) = (Some(batch.len() as u64), Some(tally));
    line.outcome = if outcome == BatchOutcome::Done {
        "processed"
    } else {
        "resumes"
    };
    Ok(outcome)
}

async fn sweep<I: DeliveryInbox, D: Destination, W: Clock>(
    sweeper: &Sweeper<I, D, W>,
    invocation: &Invocation,
    line: &mut InvocationLog,
) -> Result<AttemptCounts, InvocationError> {
    let swept = sweeper
        .sweep(RunDeadline::deadline(invocation.deadline), |attempt| {
            line.note_attempt(attempt)
        })
        .await?;
    line.counts = Some(swept.tally);
    line.down = (!swept.down.is_empty()).then(|| swept.down.join(" "));
    line.outcome = if swept.is_cut_short {
        "cut_short"
    } else {
        "swept"
    };
    Ok(swept.tally)
}

async fn reconcile<I: ReconcileInbox>(
    reconciler: &Reconciler<I>,
    invocation: &Invocation,
    line: &mut InvocationLog,
) -> Result<InvocationReply, InvocationError> {
    let records = reconciler
        .reconcile_all(&RunLimits {
            deadline: Some(deadline::last_step(invocation.deadline)),
            cut_off: Some(deadline::cut_off(invocation.deadline)),
            request_id: Some(invocation.id.clone()),
            ..RunLimits::default()
        })
        .await;
    if records.iter().all(|record| record.reason.is_some()) {
        let reasons: Vec<String> = records
            .iter()
            .filter_map(|record| Some(format!("{}: {}", record.source, record.reason.as_ref()?)))
            .collect();
        return Err(InvocationError::Reconcile(reasons.join("; ")));
    }
    line.outcome = "reconciled";
    let sum = |of: fn(&ReconcileRecord) -> usize| records.iter().map(of).sum();
    Ok(InvocationReply::Reconciled {
        recorded: sum(|record| record.recorded),
        acknowledged: sum(|record| record.acknowledged),
        missing: sum(|record| record.missing),
        ended: records
            .iter()
            .map(|record| (record.source.clone(), record.ended))
            .collect(),
    })
}
