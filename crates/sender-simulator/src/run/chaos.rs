//! What goes wrong on the way, by request.

use std::time::Duration;

use super::{
    dice::{Dice, Of},
    plan::Plan,
};

/// What goes wrong; shares are in percent of the notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Never posted: lost before the sender's own queue, as happens to both.
    pub lost: u8,
    /// Posted again, byte for byte, after the sender was satisfied.
    pub duplicate: u8,
    /// Posted twice at the same time.
    pub concurrent: u8,
    /// Told again under another id: Pay's doing.
    pub second_id: u8,
    /// Later ones overtake earlier ones, by up to [`REORDERED`] places.
    pub reorder: bool,
    /// All begin at once, however many the sender would have under way.
    pub burst: bool,
    /// Beside it a forged one, signed with another key.
    pub wrong_key: u8,
    /// Beside it a copy under another id, whose end is missing.
    pub truncate: u8,
    /// The body comes in drips.
    pub slow: u8,
    /// The line goes dead in the middle of the body or before the answer; then it is posted again.
    pub disconnect: u8,
    /// The receiver can't be reached for so long, in the sender's time.
    pub outage: Duration,
}

/// How far apart messages can be that change places.
pub const REORDERED: u64 = 64;

/// A mixture with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What it is like, in a few words.
    pub about: &'static str,
    /// What goes wrong in it.
    pub chaos: Chaos,
    /// Whether a callback URL has just been saved at HMRC, so that everything it kept comes at once.
    pub backlog: bool,
}

const CALM: Chaos = Chaos {
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

impl Scenario {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self {
            name: "calm",
            about: "nothing goes wrong",
            chaos: CALM,
            backlog: false,
        },
        Self {
            name: "busy",
            about: "a bad day of the senders: duplicates of every sort, no order, all at once",
            chaos: Chaos {
                duplicate: 20,
                concurrent: 20,
                second_id: 20,
                reorder: true,
                burst: true,
                ..CALM
            },
            backlog: false,
        },
        Self {
            name: "hostile",
            about: "a bad line and a stranger: forged, cut, dripping and abandoned requests",
            chaos: Chaos {
                wrong_key: 20,
                truncate: 20,
                slow: 5,
                disconnect: 20,
                ..CALM
            },
            backlog: false,
        },
        Self {
            name: "outage",
            about: "the receiver can't be reached for an hour (play it with --time-scale)",
            chaos: Chaos {
                outage: Duration::from_secs(60 * 60),
                ..CALM
            },
            backlog: false,
        },
        Self {
            name: "go-live",
            about: "a callback URL is saved, and a month's backlog comes at once (HMRC)",
            chaos: Chaos {
                burst: true,
                ..CALM
            },
            backlog: true,
        },
    ];

    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name == name)
    }
}

/// What befalls one notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Twists {
    pub(super) lost: bool,
    pub(super) duplicate: bool,
    pub(super) concurrent: bool,
    pub(super) second_id: bool,
    pub(super) wrong_key: bool,
    pub(super) truncate: bool,
    pub(super) slow: bool,
    pub(super) disconnect: Option<Silence>,
}

/// Where the line goes dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    InTheBody,
    BeforeTheAnswer,
}

impl Twists {
    /// Those of the `n`th notification.
    pub(super) fn of(plan: &Plan, n: u64) -> Self {
        let dice = Dice::new(plan.seed, Of::Twist, n, plan.start);
        let chaos = plan.chaos;
        // Drawn in this order whatever was asked for, so that one flag more changes nothing else.
        let [duplicate, concurrent, second_id] =
            [chaos.duplicate, chaos.concurrent, chaos.second_id].map(|percent| dice.hits(percent));
        let [wrong_key, truncate, slow, disconnect, in_the_body] = [
            chaos.wrong_key,
            chaos.truncate,
            chaos.slow,
            chaos.disconnect,
            50,
        ]
        .map(|percent| dice.hits(percent));
        let lost = dice.hits(chaos.lost);
        let silence = if in_the_body {
            Silence::InTheBody
        } else {
            Silence::BeforeTheAnswer
        };
        Self {
            lost,
            duplicate,
            concurrent,
            second_id,
            wrong_key,
            truncate,
            slow,
            disconnect: disconnect.then_some(silence),
        }
    }
}
