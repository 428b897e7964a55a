//! A destination that records each event, and at whose calls processes are killed.

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

/// The destination of one set-up.
pub(crate) struct EventSink {
    recorder: Arc<HistoryRecorder>,
    trap: Arc<KillTrap>,
    /// The number of the process that calls.
    process: Arc<AtomicUsize>,
    random: SharedRandom,
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

    /// An endpoint that accepts most events.
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
        let percent = self.random.draw(|random| random.below(100));
        if percent < 3 {
            self.recorder.returned(call);
            return EndpointReply::Status(503);
        }
        self.recorder.accepted(key, call, &delivery.body);
        if self.trap.reached(KillPoint::DestinationSeen) {
            return EndpointReply::Silence;
        }
        self.recorder.returned(call);
        self.trap.destination_answered();
        if percent < 6 {
            return EndpointReply::Late(Duration::from_millis(200));
        }
        EndpointReply::Status(204)
    }
}
