//! The goals that a search must reach. Without them, a model that is too restrictive would pass.

use pillarbox::domain::State;
use stateright::Property;

use super::{
    messages::MESSAGES,
    routine::ModelRoutine,
    search::RowModel,
    state::{EventAcceptance, ModelProcess, ModelRow, ModelState, SLOTS},
};

/// Whether a row of the state matches.
fn any(state: &ModelState, is: impl Fn(&ModelRow) -> bool) -> bool {
    state.rows.iter().flatten().any(is)
}

/// Whether every message is acknowledged, and no row and no process has work left.
fn is_settled(model: &RowModel, state: &ModelState) -> bool {
    let messages = model.bounds.messages;
    let mut rows = state.rows.iter().flatten();
    messages.iter().all(|message| state.acknowledged[*message])
        && rows.clone().count() >= messages.len().min(MESSAGES)
        && rows.all(|row| !row.is_open())
        && state.live.is_empty()
        && state.late_calls.is_empty()
}

/// Whether exactly two processes are live, and attempt the same row.
fn is_attempted_twice(state: &ModelState) -> bool {
    let slot = |process: &ModelProcess| match process.0 {
        ModelRoutine::Attempt { slot, .. } => Some(slot),
        _ => None,
    };
    match &state.live[..] {
        [one, two] => slot(one).is_some() && slot(one) == slot(two),
        _ => false,
    }
}

/// Each goal as a property that must hold in some state, if the bounds allow it.
pub(super) fn reached() -> Vec<Property<RowModel>> {
    let reached = Property::<RowModel>::sometimes;
    vec![
        reached(
            "a row is delivered by its second attempt",
            |model, state| {
                model.bounds.attempts < 2
                    || any(state, |row| {
                        row.state == State::Delivered && row.attempts > 1
                    })
            },
        ),
        reached("a row is dead", |_, state| {
            any(state, |row| row.state == State::Dead)
        }),
        reached("a row is discarded", |model, state| {
            !model.bounds.discards || any(state, |row| row.state == State::Discarded)
        }),
        reached(
            "everything is acknowledged and delivered, repeated or held",
            is_settled,
        ),
        reached(
            "an event is accepted again after a replay",
            |model, state| {
                model.bounds.replays == 0
                    || (0..SLOTS).any(|slot| {
                        state.replays[slot] > 0 && state.accepted[slot] == EventAcceptance::Now
                    })
            },
        ),
        reached("two processes attempt one row", |model, state| {
            model.bounds.workers < 2 || model.bounds.attempts < 2 || is_attempted_twice(state)
        }),
    ]
}
