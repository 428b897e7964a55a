//! Faults that a run injects on request.

use std::time::Duration;

use super::{
    plan::RunPlan,
    seeded_rng::{RngStream, SeededRng},
};

/// The faults to inject. Rates are in percent of the notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// Never sent: lost before the sender's queue, as happens with both senders.
    pub lost: u8,
    /// Sent again, byte for byte, after it was acknowledged.
    pub duplicate: u8,
    /// Sent twice at the same time.
    pub concurrent: u8,
    /// Sent again with another id, as Pay does.
    pub second_id: u8,
    /// Notifications overtake each other, by up to [`REORDER_WINDOW`] positions.
    pub reorder: bool,
    /// All begin at the same time, without the sender's limit.
    pub burst: bool,
    /// Followed by a forged message, signed with another key.
    pub wrong_key: u8,
    /// Followed by another message that is truncated.
    pub truncate: u8,
    /// Its body is sent slowly, in pieces.
    pub slow: u8,
    /// Disconnected within the body or before the response, then sent again.
    pub disconnect: u8,
    /// The receiver is unreachable for this long from the start, in the sender's time.
    pub outage: Duration,
}

/// The largest distance between two notifications that change places.
pub const REORDER_WINDOW: u64 = 64;

/// A named combination of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultScenario {
    /// The name on the command line.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    /// The faults.
    pub fault_rates: FaultRates,
    /// Whether a callback URL was just saved at HMRC, so that the whole backlog is sent.
    pub backlog: bool,
}

const NONE: FaultRates = FaultRates {
    lost: 0,
    duplicate: 0,
    concurrent: 0,
    second_id: 0,
    reorder: false,
    burst: false,
    wrong_key: 0,
    truncate: 0,
    slow: 0,
    disconnect: 0,
    outage: Duration::ZERO,
};

const BUSY: FaultRates = FaultRates {
    duplicate: 20,
    concurrent: 20,
    second_id: 20,
    reorder: true,
    burst: true,
    ..NONE
};

const HOSTILE: FaultRates = FaultRates {
    wrong_key: 20,
    truncate: 20,
    slow: 5,
    disconnect: 20,
    ..NONE
};

const OUTAGE: FaultRates = FaultRates {
    outage: Duration::from_secs(60 * 60),
    ..NONE
};

const GO_LIVE: FaultRates = FaultRates {
    burst: true,
    ..NONE
};

impl FaultScenario {
    /// All scenarios.
    pub const ALL: [Self; 5] = [
        Self::new("calm", "no faults", NONE),
        Self::new(
            "busy",
            "duplicates of every kind, out of order, in one burst",
            BUSY,
        ),
        Self::new(
            "hostile",
            "forged, truncated, slow and disconnected requests",
            HOSTILE,
        ),
        Self::new(
            "outage",
            "the receiver is unreachable for an hour (use it with --time-scale)",
            OUTAGE,
        ),
        Self {
            backlog: true,
            ..Self::new(
                "go-live",
                "a callback URL is saved, and HMRC sends a month's backlog, 10 at a time",
                GO_LIVE,
            )
        },
    ];

    const fn new(name: &'static str, about: &'static str, fault_rates: FaultRates) -> Self {
        Self {
            name,
            about,
            fault_rates,
            backlog: false,
        }
    }

    /// The scenario with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name == name)
    }
}

/// The faults of one notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InjectedFaults {
    pub(super) lost: bool,
    pub(super) duplicate: bool,
    pub(super) concurrent: bool,
    pub(super) second_id: bool,
    pub(super) wrong_key: bool,
    pub(super) truncate: bool,
    pub(super) slow: bool,
    pub(super) disconnect: Option<DisconnectPoint>,
}

/// The point at which a request is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DisconnectPoint {
    InBody,
    BeforeResponse,
}

impl InjectedFaults {
    /// The faults of the `n`th notification.
    pub(super) fn of(plan: &RunPlan, n: u64) -> Self {
        let rng = SeededRng::new(plan.seed, RngStream::Fault, n, plan.start);
        let rates = plan.fault_rates;
        // Always drawn in this order, so that one rate does not change the other faults. Struct
        // fields are evaluated as written.
        let mut faults = Self {
            duplicate: rng.chance(rates.duplicate),
            concurrent: rng.chance(rates.concurrent),
            second_id: rng.chance(rates.second_id),
            wrong_key: rng.chance(rates.wrong_key),
            truncate: rng.chance(rates.truncate),
            slow: rng.chance(rates.slow),
            lost: false,
            disconnect: None,
        };
        let (disconnects, in_body) = (rng.chance(rates.disconnect), rng.chance(50));
        faults.lost = rng.chance(rates.lost);
        let point = if in_body {
            DisconnectPoint::InBody
        } else {
            DisconnectPoint::BeforeResponse
        };
        faults.disconnect = disconnects.then_some(point);
        faults
    }
}
