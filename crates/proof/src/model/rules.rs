//! The rules, and the checks of transitions and states. The checks compare the rows before and
//! after, independently of the product's decisions.

use pillarbox::{
    domain::{State, Timestamp},
    inbox::{Mark, is_leased},
};
use stateright::Property;

use super::{
    messages::{MESSAGES, ModelMessages},
    search::RowModel,
    state::{EventAcceptance, ModelRow, ModelState},
};

macro_rules! rules {
    ($($name:ident = $text:literal;)*) => {
        $(pub(super) const $name: &str = $text;)*

        /// Each rule as a property that always holds.
        pub(super) fn properties() -> Vec<Property<RowModel>> {
            vec![$(Property::<RowModel>::always($text, |_, state| state.broken != Some($text))),*]
        }
    };
}

rules! {
    STORED = "I1: a message that its sender counts as acknowledged is stored";
    STATUS = "I9: a genuine request is answered 200 or 503";
    DELIVERED = "I2: a row is marked delivered only if the destination has it";
    ROWS = "I2: a row is open until a fenced mark or a person ends it, and then keeps its state";
    EXPIRY = "I2: only a finished row expires, and an open row is due at some time";
    DRAINS = "I2: from every state, without faults, every row ends or waits for a person";
    ONE_KEY = "I3: every event of a row has its key and the same bytes";
    BYTES = "I6: a row keeps its bytes until a person erases them";
    COPIES = "I7: a copy changes nothing";
    HELD = "I8: a held row is delivered only after a replay";
    PULLED = "I11: only stored notifications are acknowledged at HMRC, once";
    COUNTED = "attempts: a claim counts one attempt, and changes only its row";
    LEASE = "lease: one process works on a row, unless its lease has lapsed";
    FENCE = "fence: a mark is written only by the claim that holds the row";
    REPLAYED = "budget: a replay starts a new budget, and is not possible during an attempt";
    LEDGER = "ledger: an event is accepted under one key, and a repeat names its owner";
}

/// The cause of a change of rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChangeCause<'a> {
    Record,
    Claim {
        slot: usize,
    },
    ClaimEvent,
    Mark {
        slot: usize,
        attempt: u32,
        lease: u64,
        mark: &'a Mark,
    },
    Replay {
        slot: usize,
    },
    Discard {
        slot: usize,
    },
}

impl ChangeCause<'_> {
    /// The slot of the row that the cause names.
    fn slot(self) -> Option<usize> {
        match self {
            Self::Record | Self::ClaimEvent => None,
            Self::Claim { slot }
            | Self::Mark { slot, .. }
            | Self::Replay { slot }
            | Self::Discard { slot } => Some(slot),
        }
    }
}

/// A change of one row.
struct RowChange<'a> {
    old: &'a ModelRow,
    new: &'a ModelRow,
    now: Timestamp,
    /// Whether the cause names this row.
    is_named: bool,
}

/// The first rule that a change of rows breaks.
pub(super) fn broken_by(
    cause: ChangeCause<'_>,
    before: &ModelState,
    after: &ModelState,
) -> Option<&'static str> {
    let rows = before.rows.iter().zip(&after.rows).enumerate();
    let mut broken = rows.filter_map(|(slot, rows)| match rows {
        (old, new) if old == new => None,
        (None, _) => (!matches!(cause, ChangeCause::Record)).then_some(ROWS),
        (Some(_), None) => Some(ROWS),
        (Some(old), Some(new)) => {
            let change = RowChange {
                old,
                new,
                now: before.now,
                is_named: cause.slot() == Some(slot),
            };
            change.broken_by(cause)
        }
    });
    broken.next()
}

impl RowChange<'_> {
    fn broken_by(&self, cause: ChangeCause<'_>) -> Option<&'static str> {
        let (old, new) = (self.old, self.new);
        let keeps_bytes = old.variant == new.variant
            && (old.is_erased == new.is_erased || matches!(cause, ChangeCause::Discard { .. }));
        if !keeps_bytes {
            return Some(BYTES);
        }
        match cause {
            ChangeCause::Record => Some(COPIES),
            ChangeCause::ClaimEvent => Some(ROWS),
            ChangeCause::Claim { .. } => self.broken_by_claim(),
            ChangeCause::Mark {
                attempt,
                lease,
                mark,
                ..
            } => self.broken_by_mark(attempt, lease, mark),
            ChangeCause::Replay { .. } => (!self.is_replay()).then_some(REPLAYED),
            ChangeCause::Discard { .. } => (!self.is_discard()).then_some(ROWS),
        }
    }

    /// Whether a claim holds the row before the change.
    fn is_leased(&self) -> bool {
        let is_current = |(_, until)| is_leased(until, self.now);
        self.old.lease.is_some_and(is_current)
    }

    fn broken_by_claim(&self) -> Option<&'static str> {
        let is_claim = self.is_named
            && self.old.is_open()
            && self.new.is_open()
            && self.new.attempts == self.old.attempts + 1
            && self.new.lease.is_some();
        match (is_claim, self.is_leased()) {
            (false, _) => Some(COUNTED),
            (true, true) => Some(LEASE),
            (true, false) => None,
        }
    }

    fn broken_by_mark(&self, attempt: u32, lease: u64, mark: &Mark) -> Option<&'static str> {
        let is_fenced = self.is_named
            && self.old.is_open()
            && self.old.attempts == attempt
            && self.old.lease.is_some_and(|(id, _)| id == lease);
        let is_right = self.new.state == state_after(mark) && self.new.lease.is_none();
        match (is_fenced, is_right) {
            (false, _) => Some(FENCE),
            (true, false) => Some(ROWS),
            (true, true) => None,
        }
    }

    fn is_replay(&self) -> bool {
        let new = self.new;
        self.is_named
            && !(self.old.is_open() && self.is_leased())
            && !matches!(self.old.state, State::Discarded | State::Repeat)
            && new.is_open()
            && (new.attempts, new.lease, new.budget_from) == (0, None, self.now)
    }

    fn is_discard(&self) -> bool {
        self.is_named
            && !(self.old.is_open() && self.is_leased())
            && self.new.state == State::Discarded
    }
}

fn state_after(mark: &Mark) -> State {
    match mark {
        Mark::Delivered { .. } => State::Delivered,
        Mark::Repeat { .. } => State::Repeat,
        Mark::Retry { .. } => State::Recorded,
        Mark::Dead { .. } => State::Dead,
        Mark::Held { .. } => State::Held,
    }
}

/// Whether a message is stored, under any key.
pub(super) fn is_stored(messages: &ModelMessages, state: &ModelState, message: usize) -> bool {
    let content = messages.contents[message];
    let mut rows = state.rows.iter().flatten();
    rows.any(|row| messages.rows[row.variant].content_digest == content)
}

/// The first rule that a state breaks.
pub(super) fn broken_in(messages: &ModelMessages, state: &ModelState) -> Option<&'static str> {
    let is_lost = |message| state.acknowledged[message] && !is_stored(messages, state, message);
    if (0..MESSAGES).any(is_lost) {
        return Some(STORED);
    }
    let is_finished = |row: &ModelRow| {
        matches!(
            row.state,
            State::Delivered | State::Repeat | State::Discarded
        )
    };
    let keeps_dates = |row: &ModelRow| {
        row.expires_at.is_some() == is_finished(row) && (row.due_at.is_some() || !row.is_open())
    };
    if !state.rows.iter().flatten().all(keeps_dates) {
        return Some(EXPIRY);
    }
    for event in 0..messages.events.len() {
        let is_accepted = |(row, accepted): &(&Option<ModelRow>, EventAcceptance)| {
            let event_of = |row: &ModelRow| messages.row_events[row.variant];
            *accepted > EventAcceptance::Never && row.as_ref().and_then(event_of) == Some(event)
        };
        let rows = state.rows.iter().zip(state.accepted);
        if rows.filter(is_accepted).count() > 1 {
            return Some(LEDGER);
        }
    }
    None
}
