//! The teams' side: an endpoint that notes each event, and is a point at which processes are
//! killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use test_support::endpoint::{ConsumerEndpoint, EndpointReply, ReceivedDelivery};

use super::{
    point::{KillPoint, KillTrap},
    recorder::HistoryRecorder,
};
use crate::simulate::random::{SharedRandom, SplitMix64};

/// How long after its answer a process is killed that is to be killed there.
const ANSWER_TRAVELS: Duration = Duration::from_micros(500);

/// What calls of a destination need to know.
pub(crate) struct EventSink {
    pub(crate) recorder: Arc<HistoryRecorder>,
    pub(crate) trap: Arc<KillTrap>,
    /// The process that calls.
    pub(crate) process: Arc<AtomicUsize>,
    pub(crate) random: SharedRandom,
}

impl EventSink {
    pub(crate) fn new(
        recorder: &Arc<HistoryRecorder>,
        trap: &Arc<KillTrap>,
        process: &Arc<AtomicUsize>,
        random: SplitMix64,
    ) -> Arc<Self> {
        Arc::new(Self {
            recorder: Arc::clone(recorder),
            trap: Arc::clone(trap),
            process: Arc::clone(process),
            random: SharedRandom::new(random),
        })
    }

    /// An endpoint that most often accepts.
    pub(crate) fn endpoint(self: &Arc<Self>) -> ConsumerEndpoint {
        let endpoint = ConsumerEndpoint::opened();
        let sink = Arc::clone(self);
        endpoint.answers(move |delivery, _| sink.answer(delivery));
        endpoint
    }

    fn answer(self: &Arc<Self>, delivery: &ReceivedDelivery) -> EndpointReply {
        let key = delivery.key();
        delivery.check_signature();
        let process = self.process.load(Ordering::SeqCst);
        let call = self.recorder.delivering(process, key);
        let dice = self.random.draw(|random| random.below(100));
        if dice < 3 {
            self.recorder.returned(call);
            return EndpointReply::Status(503);
        }
        self.recorder.accepted(key, call, &delivery.body);
        if self.trap.reached(KillPoint::DestinationSeen) {
            return EndpointReply::Silence;
        }
        self.recorder.returned(call);
        self.answered();
        if dice < 6 {
            return EndpointReply::Late(Duration::from_millis(200));
        }
        EndpointReply::Status(204)
    }

    /// The answer is on its way.
    pub(crate) fn answered(&self) {
        let trap = Arc::clone(&self.trap);
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_TRAVELS).await;
            trap.reached(KillPoint::DestinationAnswered);
        });
    }
}
