//! The bounds of the searches.

use std::fmt;

use super::messages::{CONFLICT, HMRC, PAY, TWIN};

/// The bounds of one search.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModelBounds {
    pub(super) name: &'static str,
    /// The messages that are sent, any number of times.
    pub(super) messages: &'static [usize],
    /// The largest number of concurrent delivery attempts.
    pub(super) workers: usize,
    /// The largest number of claims of a row until it is replayed.
    pub(super) attempts: u32,
    /// The number of times that the budget of every row ends.
    pub(super) long_waits: u8,
    /// The largest number of replays by a person.
    pub(super) replays: u8,
    /// Whether a person discards rows.
    pub(super) discards: bool,
    /// Whether reconcile pulls from HMRC.
    pub(super) puller: bool,
    /// The largest number of calls in progress that their processes have given up.
    pub(super) late_calls: usize,
}

impl fmt::Display for ModelBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            messages,
            workers,
            attempts,
            long_waits,
            replays,
            discards,
            puller,
            late_calls,
        } = self;
        write!(
            f,
            "{name}: messages={} workers={workers} attempts={attempts} budgets={long_waits} \
             replays={replays} discards={discards} puller={puller} late={late_calls}",
            messages.len()
        )
    }
}

/// The default bounds. Each search overrides some of them.
pub(super) const BASE: ModelBounds = ModelBounds {
    name: "",
    messages: &[PAY],
    workers: 2,
    attempts: 2,
    long_waits: 0,
    replays: 0,
    discards: false,
    puller: false,
    late_calls: 0,
};

/// The searches in CI.
pub(super) const SHORT: &[ModelBounds] = &[
    ModelBounds {
        name: "one notification, attempted often",
        attempts: 3,
        long_waits: 1,
        replays: 1,
        discards: true,
        ..BASE
    },
    ModelBounds {
        name: "one notification, with calls that are late",
        replays: 1,
        late_calls: 1,
        ..BASE
    },
    ModelBounds {
        name: "one event under two ids",
        messages: &[PAY, TWIN],
        discards: true,
        ..BASE
    },
    ModelBounds {
        name: "one id with two contents",
        messages: &[PAY, CONFLICT],
        replays: 1,
        ..BASE
    },
    ModelBounds {
        name: "a notification that is pushed and pulled",
        messages: &[HMRC],
        replays: 1,
        discards: true,
        puller: true,
        ..BASE
    },
    ModelBounds {
        name: "three notifications",
        messages: &[PAY, TWIN, HMRC],
        workers: 1,
        attempts: 1,
        puller: true,
        ..BASE
    },
];

/// The searches of a long run.
pub(super) const LONG: &[ModelBounds] = &[
    ModelBounds {
        name: "one notification, attempted often",
        attempts: 4,
        long_waits: 1,
        replays: 2,
        discards: true,
        ..BASE
    },
    ModelBounds {
        name: "one notification, with calls that are late",
        attempts: 3,
        long_waits: 1,
        replays: 1,
        discards: true,
        late_calls: 1,
        ..BASE
    },
    ModelBounds {
        name: "one event under two ids",
        messages: &[PAY, TWIN],
        replays: 1,
        discards: true,
        ..BASE
    },
    ModelBounds {
        name: "one id with two contents",
        messages: &[PAY, CONFLICT],
        replays: 1,
        discards: true,
        ..BASE
    },
    ModelBounds {
        name: "a notification that is pushed and pulled",
        messages: &[HMRC],
        attempts: 3,
        long_waits: 1,
        replays: 1,
        discards: true,
        puller: true,
        ..BASE
    },
    ModelBounds {
        name: "a notification that is pushed and pulled, with calls that are late",
        messages: &[HMRC],
        discards: true,
        puller: true,
        late_calls: 1,
        ..BASE
    },
    ModelBounds {
        name: "three notifications",
        messages: &[PAY, TWIN, HMRC],
        attempts: 1,
        discards: true,
        puller: true,
        ..BASE
    },
];
