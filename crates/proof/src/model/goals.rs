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
            |model, state| {
                let messages = model.bounds.messages;
                let rows = state.rows.iter().flatten();
                let is_quiet = state.live.is_empty() && state.late_calls.is_empty();
                messages.iter().all(|message| state.acknowledged[*message])
                    && rows.clone().count() >= messages.len().min(MESSAGES)
                    && rows.clone().all(|row| !row.is_open())
                    && is_quiet
            },
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
            let slot = |process: &ModelProcess| match process.0 {
                ModelRoutine::Attempt { slot, .. } => Some(slot),
                _ => None,
            };
            let is_one_row = match &state.live[..] {
                [one, two] => slot(one).is_some() && slot(one) == slot(two),
                _ => false,
            };
            model.bounds.workers < 2 || model.bounds.attempts < 2 || is_one_row
        }),
    ]
}
