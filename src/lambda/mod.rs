//! The Lambda function: recognises an invocation by the names of its fields, and does the work of
//! the function's role.
//!
//! An event that is not for this role is an error and never a success, because a stream takes any
//! reply that it cannot read as success. Nothing runs after the reply, because the platform then
//! freezes the process.

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
    delivery::{
        AttemptCounts, DeliveryWorker, RunDeadline,
        stream_batch::{self, BatchOutcome},
        sweep::{SweepGauges, SweepRunner},
    },
    destinations::{DeliveryTrace, Destination},
    domain::{SourceName, Timestamp},
    inbox::{DeliveryInbox, Inbox, InboxError, ReceiveInbox, ReconcileInbox},
    receive::{self, HttpAnswer, Receiver, Refusal},
    reconcile::RunLimits,
    telemetry::{FunctionMetrics, MetricSet, ReconcileRecord, RequestRecord},
};

pub use crate::reconcile::{Reconciler, ReconcilerDeps};
pub use event::{EventShape, PayloadVersion, shape};
use http_event::HttpEvent;
pub use http_reply::HttpReply;
use invocation_log::InvocationLog;
pub use role::{Role, RoleError};
pub use run::{main, main_to};
pub use stream::StreamRecordError;
#[cfg(any(test, feature = "test-support"))]
pub use stream::batch_for_tests;

/// A function with the parts that its role needs.
pub struct LambdaFunction<I, D> {
    role: Role,
    receiver: Option<Receiver<I>>,
    stream_worker: Option<Arc<DeliveryWorker<I, D>>>,
    sweeper: Option<SweepRunner<I, D>>,
    reconciler: Option<Reconciler<I>>,
    is_warm: AtomicBool,
    metrics: Option<FunctionMetrics>,
    /// The sources whose silence a sweep measures.
    sources: Vec<SourceName>,
}

/// What the platform passes with an event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The platform's id of the invocation.
    pub id: String,
    /// When the function is stopped.
    pub deadline: Timestamp,
    /// The header with its place in a trace, if the platform gives one.
    pub trace_header: Option<String>,
}

/// The reply to an invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum InvocationReply {
    /// To the front that passed the request on.
    Http(HttpReply),
    /// To the stream.
    Batch(BatchOutcome),
    /// Of a sweep. The schedule ignores it; a person who invokes the function sees it.
    Swept {
        /// The number of delivered rows.
        delivered: u64,
        /// The number of rows that failed and are due again.
        retry: u64,
        /// The number of rows that are now dead.
        dead: u64,
    },
    /// Of a reconcile run. The schedule ignores it.
    Reconciled {
        /// The number of recorded notifications that were not pushed.
        recorded: usize,
        /// The number of acknowledged notifications.
        acknowledged: usize,
        /// The number of payment events that were never received.
        missing: usize,
        /// How each source's run ended, in one word.
        ended: BTreeMap<String, &'static str>,
    },
}

/// Why an invocation failed. The text contains shapes and names, never content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvocationError {
    /// Not an event of this function's role.
    #[error("the role {role} does not handle {what}: check what invokes the function")]
    Foreign {
        /// The function's role.
        role: Role,
        /// The shape of the event.
        what: &'static str,
    },
    /// A batch that cannot be read.
    #[error("{0}")]
    Records(#[from] StreamRecordError),
    /// The due rows cannot be read.
    #[error("{0}")]
    Inbox(#[from] InboxError),
    /// No source could be reconciled, and a person has to correct the cause.
    #[error("nothing could be reconciled: {0}")]
    Reconcile(String),
    /// A bug.
    #[error("the program panicked: the log has the place")]
    Panicked,
}

impl InvocationError {
    /// The failure in one word, for metrics.
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

impl<I: Inbox, D: Destination> LambdaFunction<I, D> {
    /// A function in `role`: it receives with `receiver`, delivers with `worker` and reconciles
    /// with `reconciler`, and drops those that its role does not need.
    pub fn new(
        role: Role,
        receiver: Option<Receiver<I>>,
        worker: Option<Arc<DeliveryWorker<I, D>>>,
        reconciler: Option<Reconciler<I>>,
    ) -> Self {
        let worker = worker.filter(|_| role.delivers());
        Self {
            role,
            receiver: receiver.filter(|_| role.receives()),
            sweeper: worker
                .clone()
                .filter(|_| role != Role::Process)
                .map(SweepRunner::new),
            stream_worker: worker.filter(|_| role != Role::Sweep),
            reconciler: reconciler.filter(|_| role.pulls()),
            is_warm: AtomicBool::new(false),
            metrics: None,
            sources: Vec::new(),
        }
    }

    /// Adds `metrics` to the lines of invocations; those of a sweep measure the silence of
    /// `sources`.
    pub fn with_metrics(self, metrics: FunctionMetrics, sources: Vec<SourceName>) -> Self {
        Self {
            metrics: Some(metrics),
            sources,
            ..self
        }
    }

    /// Serves one invocation, and logs one line about it.
    pub async fn handle(
        &self,
        raw: &RawValue,
        invocation: &Invocation,
    ) -> Result<InvocationReply, InvocationError> {
        let is_cold = !self.is_warm.swap(true, Ordering::Relaxed);
        let mut line = InvocationLog::begin(self.role, self.metrics.clone(), invocation, is_cold);
        let trace = DeliveryTrace::new(&invocation.id, invocation.trace_header.as_deref());
        let work =
            DeliveryTrace::scope(Some(Arc::new(trace)), self.work(raw, invocation, &mut line));
        let done = panic::catch_panic(work).await;
        let done = done.unwrap_or(Err(InvocationError::Panicked));
        line.write(done.as_ref().err());
        done
    }

    /// The futures are boxed for the compiler, like those of `run`.
    async fn work(
        &self,
        raw: &RawValue,
        invocation: &Invocation,
        line: &mut InvocationLog,
    ) -> Result<InvocationReply, InvocationError> {
        let (shape, fields) = event::read(raw);
        let foreign = || InvocationError::Foreign {
            role: self.role,
            what: shape.as_str(),
        };
        match shape {
            EventShape::Http(payload) => {
                let receiver = self.receiver.as_ref().ok_or_else(foreign)?;
                let event = HttpEvent::read(&fields, payload, invocation.deadline);
                let answer = Box::pin(respond(receiver, event, line.request())).await;
                Ok(InvocationReply::Http(HttpReply(answer)))
            }
            EventShape::Stream => {
                let worker = self.stream_worker.as_ref().ok_or_else(foreign)?;
                Box::pin(batch(worker, raw, invocation, line))
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
                } = Box::pin(self.sweep(sweeper, invocation, line)).await?;
                Ok(InvocationReply::Swept {
                    delivered,
                    retry,
                    dead,
                })
            }
            EventShape::Reconcile => {
                let reconciler = self.reconciler.as_ref().ok_or_else(foreign)?;
                Box::pin(reconcile(reconciler, invocation, line)).await
            }
            EventShape::Foreign(_) => Err(foreign()),
        }
    }

    /// Reads the gauges, then delivers. Unreadable gauges fail the sweep after its deliveries,
    /// because without them stuck notifications would go unnoticed.
    async fn sweep(
        &self,
        sweeper: &SweepRunner<I, D>,
        invocation: &Invocation,
        line: &mut InvocationLog,
    ) -> Result<AttemptCounts, InvocationError> {
        let gauges = match &self.metrics {
            Some(metrics) if metrics.set == MetricSet::All => sweeper.gauges(&self.sources).await,
            _ => Ok(SweepGauges::default()),
        };
        let counts = sweep(sweeper, invocation, line).await?;
        line.add_gauges(gauges?);
        Ok(counts)
    }
}

/// Answers one request. Never fails, because a refusal is also an answer.
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

/// Answers a front's event over an inbox that can only record; `None` for any other event.
#[cfg(any(test, feature = "test-support"))]
pub async fn answer_event<I: ReceiveInbox>(
    receiver: &Receiver<I>,
    raw: &RawValue,
    stopped_at: Timestamp,
) -> Option<HttpAnswer> {
    let (EventShape::Http(payload), fields) = event::read(raw) else {
        return None;
    };
    let event = HttpEvent::read(&fields, payload, stopped_at);
    Some(respond(receiver, event, &mut RequestRecord::default()).await)
}

async fn batch<I: DeliveryInbox, D: Destination>(
    worker: &Arc<DeliveryWorker<I, D>>,
    raw: &RawValue,
    invocation: &Invocation,
    line: &mut InvocationLog,
) -> Result<BatchOutcome, InvocationError> {
    let batch = stream::read(raw)?;
    let deadline = RunDeadline::before(invocation.deadline);
    let (outcome, counts) = stream_batch::run(worker, &batch, deadline, |attempt| {
        line.add_attempt(attempt)
    })
    .await;
    line.records = Some(batch.len() as u64);
    line.counts = Some(counts);
    line.outcome = if outcome == BatchOutcome::Done {
        "processed"
    } else {
        "resumes"
    };
    Ok(outcome)
}

async fn sweep<I: DeliveryInbox, D: Destination>(
    sweeper: &SweepRunner<I, D>,
    invocation: &Invocation,
    line: &mut InvocationLog,
) -> Result<AttemptCounts, InvocationError> {
    let deadline = RunDeadline::before(invocation.deadline);
    let report = sweeper
        .sweep(deadline, |attempt| line.add_attempt(attempt))
        .await?;
    line.counts = Some(report.counts);
    line.down = (!report.open_circuits.is_empty()).then(|| report.open_circuits.join(" "));
    line.outcome = if report.is_cut_short {
        "cut_short"
    } else {
        "swept"
    };
    Ok(report.counts)
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
    line.has_reconciled = true;
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
