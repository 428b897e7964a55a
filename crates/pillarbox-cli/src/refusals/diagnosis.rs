//! Finds the likely causes of refusals, on a separate thread.
//!
//! A diagnosis tries many forms of a body with many secrets, and anyone can cause one. So the queue
//! and the bodies are short, and after each diagnosis the thread sleeps long enough to use at most
//! [`CPU_PERCENT`] of one core.

use std::{sync::Arc, thread, time::Duration};

use tokio::{
    sync::mpsc::{self, Permit, Receiver, Sender},
    time::Instant,
};

use super::{CandidateSecrets, RefusalEntries};
use crate::diagnose::{Diagnosis, FailureCause, diagnose};
use pillarbox::{
    domain::{Clock, SourceName},
    senders::SenderKind,
};

/// The longest body that is diagnosed; Pay's have about 2 KB.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;
/// The capacity of the queue.
const MAX_WAITING: usize = 8;
/// The share of one core that diagnoses may use.
const CPU_PERCENT: u32 = 5;
/// The shortest pause after a diagnosis.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, so that one slow diagnosis does not end all others.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// A refused request to diagnose.
pub(super) struct UndiagnosedRequest {
    /// The id of its entry.
    pub(super) id: u64,
    pub(super) source: SourceName,
    pub(super) kind: SenderKind,
    pub(super) header: Vec<u8>,
    /// `None` if it was too long.
    pub(super) body: Option<Vec<u8>>,
}

/// The requests that wait for a diagnosis. The thread ends when this is dropped.
pub(super) struct DiagnosisQueue(Sender<UndiagnosedRequest>);

impl DiagnosisQueue {
    /// A slot in the queue, if one is free. It is reserved before the body is copied, so a flood of
    /// forgeries copies nothing.
    pub(super) fn reserve(&self) -> Option<Permit<'_, UndiagnosedRequest>> {
        self.0.try_reserve().ok()
    }
}

/// Starts the thread; `None` if that fails, and then requests are not diagnosed.
pub(super) fn start(
    secrets: CandidateSecrets,
    entries: Arc<RefusalEntries>,
    clock: Arc<dyn Clock>,
) -> Option<DiagnosisQueue> {
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    let work = move || run(waiting, &secrets, &entries, &*clock);
    let started = thread::Builder::new()
        .name("diagnosis".to_owned())
        .spawn(work);
    if let Err(error) = started {
        tracing::warn!(
            reason = %error,
            "cannot start the diagnosis thread: refused requests have no likely causes"
        );
        return None;
    }
    Some(DiagnosisQueue(queue))
}

fn run(
    mut waiting: Receiver<UndiagnosedRequest>,
    secrets: &CandidateSecrets,
    entries: &RefusalEntries,
    clock: &dyn Clock,
) {
    while let Some(request) = waiting.blocking_recv() {
        let began = Instant::now();
        entries.set_causes(request.id, causes(&request, secrets, clock));
        drop(request);
        thread::sleep(pause(began.elapsed()));
    }
}

/// The pause after work of this duration.
fn pause(worked: Duration) -> Duration {
    (worked * (100 / CPU_PERCENT - 1)).clamp(MIN_PAUSE, MAX_PAUSE)
}

/// The likely causes in sentences.
fn causes(
    request: &UndiagnosedRequest,
    secrets: &CandidateSecrets,
    clock: &dyn Clock,
) -> Vec<String> {
    let (own, others) = secrets.of(&request.source);
    let (kind, header, now) = (request.kind, &request.header, clock.now());
    let body = request.body.as_deref().unwrap_or_default();
    match diagnose(kind, &own, &others, header, body, now) {
        Diagnosis::Genuine { key_label, .. } => vec![format!(
            "Made with {key_label}, which is not in use: it was removed, or it must not be used \
             for this source; the reason is in the log of the start."
        )],
        Diagnosis::Unexplained(mut found) if request.body.is_none() => {
            found.retain(|cause| !is_about_body(cause));
            let found = found.iter().map(ToString::to_string);
            found.chain([too_long()]).collect()
        }
        diagnosis => diagnosis.sentences(),
    }
}

/// Whether a cause is in the body.
fn is_about_body(cause: &FailureCause) -> bool {
    matches!(
        cause,
        FailureCause::BodyEmpty | FailureCause::BodyNotText | FailureCause::NoneOfThese
    )
}

fn too_long() -> String {
    format!(
        "The body is longer than {} KB, so its forms were not tried: capture the request, and run \
         pillarbox verify.",
        MAX_BODY_BYTES / 1024
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnoses_use_at_most_a_twentieth_of_a_core() {
        for (worked, paused) in [(0, 100), (1, 100), (10, 190), (400, 7_600), (9_000, 30_000)] {
            let pause = pause(Duration::from_millis(worked));
            assert_eq!(pause, Duration::from_millis(paused), "{worked} ms");
        }
    }
}
