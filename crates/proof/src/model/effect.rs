//! The effect of one call on the model table, the destination or HMRC. Each effect is checked
//! against the rules.

use pillarbox::{
    delivery::BUDGET,
    inbox::{
        DeliveryInbox, DiscardOutcome, DiscardRequest, EventClaim, Mark, MarkOutcome, MemoryInbox,
        OperatorInbox, ReceiveInbox, RecordOutcome, ReplayOutcome, is_leased,
    },
};

use super::{
    messages::{HMRC, ModelMessages},
    routine::{ModelRoutine, RoutineResults},
    rules::{self, ChangeCause},
    script::ScriptedCall,
    state::{EventAcceptance, ModelProcess, ModelReply, ModelRow, ModelState, SLOTS, hash_of},
};
use crate::simulate::table::resolve_now;

/// The rows of the table after a call, and its reply.
pub(super) struct TableChange {
    rows: [Option<ModelRow>; SLOTS],
    broken: Option<&'static str>,
    reply: ModelReply,
}

/// Applies a call of `process` to `state`, and returns the reply.
pub(super) fn take_effect(
    routines: &RoutineResults,
    state: &mut ModelState,
    process: &ModelProcess,
    call: &ScriptedCall,
) -> ModelReply {
    let messages = &routines.messages;
    match call {
        ScriptedCall::Deliver(key, digest) => {
            match messages.slot(key) {
                Some(slot) => accept(messages, state, slot, digest),
                None => state.broken = Some(rules::ONE_KEY),
            }
            ModelReply::Accepted
        }
        ScriptedCall::Acknowledge(ids) => {
            acknowledge(messages, state, ids);
            ModelReply::Acknowledged
        }
        _ => {
            let slot = slot_of(messages, call);
            let reply = change(
                routines,
                state,
                hash_of(process),
                cause_of(call, slot),
                |table| call_table(messages, table, call),
            );
            check_reply(messages, state, process, call, slot, &reply);
            reply
        }
    }
}

/// The row of a call; [`SLOTS`] if no row of the model has this key.
fn slot_of(messages: &ModelMessages, call: &ScriptedCall) -> usize {
    let key = match call {
        ScriptedCall::Record(entry) => &entry.key,
        ScriptedCall::Claim(key, _)
        | ScriptedCall::ClaimEvent(_, key, _)
        | ScriptedCall::Deliver(key, _) => key,
        ScriptedCall::Mark(fence, _) => &fence.key,
        ScriptedCall::Acknowledge(_) => return SLOTS,
    };
    messages.slot(key).unwrap_or(SLOTS)
}

fn cause_of(call: &ScriptedCall, slot: usize) -> ChangeCause<'_> {
    match call {
        ScriptedCall::Claim(..) => ChangeCause::Claim { slot },
        ScriptedCall::Mark(fence, mark) => ChangeCause::Mark {
            slot,
            attempt: fence.attempt,
            lease: fence.lease.0,
            mark,
        },
        ScriptedCall::ClaimEvent(..) => ChangeCause::ClaimEvent,
        _ => ChangeCause::Record,
    }
}

fn call_table(messages: &ModelMessages, table: &MemoryInbox, call: &ScriptedCall) -> ModelReply {
    let reply = match call {
        ScriptedCall::Record(entry) => {
            resolve_now(table.record(entry)).map(|recorded| match recorded {
                RecordOutcome::First => ModelReply::First,
                RecordOutcome::Duplicate => ModelReply::Duplicate,
                RecordOutcome::Conflict(key) => {
                    let slot = messages.slot(&key);
                    slot.map_or(ModelReply::Failed, ModelReply::Conflict)
                }
            })
        }
        ScriptedCall::Claim(key, claim) => resolve_now(table.claim(key, claim)).map(|claimed| {
            let row = claimed.and_then(|(row, fence)| {
                let row = ModelRow::of(messages, &row)?;
                let lease = row.lease.map(|(id, _)| id);
                let is_of_row = (fence.attempt, Some(fence.lease.0)) == (row.attempts, lease);
                is_of_row.then_some(row)
            });
            ModelReply::Claimed(row)
        }),
        ScriptedCall::ClaimEvent(event, key, expires_at) => {
            resolve_now(table.claim_event(event, key, *expires_at)).map(|claimed| match claimed {
                EventClaim::Acquired => ModelReply::EventOf(None),
                EventClaim::HeldBy(owner) => ModelReply::EventOf(messages.slot(&owner)),
            })
        }
        ScriptedCall::Mark(fence, mark) => {
            resolve_now(table.mark(fence, mark)).map(|marked| match marked {
                MarkOutcome::Done => ModelReply::Marked,
                MarkOutcome::Lost => ModelReply::MarkLost,
                MarkOutcome::Discarded => ModelReply::MarkDiscarded,
            })
        }
        ScriptedCall::Deliver(..) | ScriptedCall::Acknowledge(_) => Ok(ModelReply::Failed),
    };
    reply.unwrap_or(ModelReply::Failed)
}

/// Applies a call to the model table, and checks the changes. `question` identifies the call.
fn change(
    routines: &RoutineResults,
    state: &mut ModelState,
    question: u64,
    cause: ChangeCause<'_>,
    call: impl FnOnce(&MemoryInbox) -> ModelReply,
) -> ModelReply {
    let messages = &routines.messages;
    let question = hash_of(&(question, &state.rows, &state.ledger));
    let changed = routines.changes.get(question, || {
        let table = state.table(messages);
        let reply = call(&table);
        let mut after = state.clone();
        after.read_rows(messages, &table);
        TableChange {
            broken: after.broken.or(rules::broken_by(cause, state, &after)),
            rows: after.rows,
            reply,
        }
    });
    state.rows = changed.rows.clone();
    state.broken = state.broken.or(changed.broken);
    changed.reply.clone()
}

/// Checks a reply against the parts of the state other than the rows.
fn check_reply(
    messages: &ModelMessages,
    state: &mut ModelState,
    process: &ModelProcess,
    call: &ScriptedCall,
    slot: usize,
    reply: &ModelReply,
) {
    match (call, reply) {
        (_, ModelReply::Claimed(Some(_))) => check_holders(state, process, slot),
        (ScriptedCall::ClaimEvent(event, ..), ModelReply::EventOf(owner)) => {
            let Some(number) = messages.events.iter().position(|known| known == event) else {
                state.broken = Some(rules::LEDGER);
                return;
            };
            let known = state.ledger[number];
            let is_right = match owner {
                None => known.is_none_or(|known| known == slot),
                Some(owner) => known == Some(*owner) && *owner != slot,
            };
            state.ledger[number] = known.or(Some(slot));
            if !is_right {
                state.broken = Some(rules::LEDGER);
            }
        }
        (ScriptedCall::Mark(_, mark), ModelReply::Marked) => {
            check_mark(messages, state, slot, mark);
        }
        _ => {}
    }
}

fn acknowledge(messages: &ModelMessages, state: &mut ModelState, ids: &[String]) {
    let is_stored = rules::is_stored(messages, state, HMRC);
    if !is_stored || *ids != [messages.boxed.id.clone()] {
        state.broken = Some(rules::PULLED);
    }
    state.acknowledged[HMRC] = true;
}

/// Checks that no other process has a valid lease on the row.
fn check_holders(state: &mut ModelState, process: &ModelProcess, slot: usize) {
    let now = state.now;
    let holds = |other: &&ModelProcess| {
        let is_of_row = matches!(other.0, ModelRoutine::Attempt { slot: of, .. } if of == slot);
        let until = other.1.first().and_then(|(_, reply)| match reply {
            ModelReply::Claimed(Some(row)) => row.lease.map(|(_, until)| until),
            _ => None,
        });
        is_of_row && *other != process && until.is_some_and(|until| is_leased(until, now))
    };
    if state.live.iter().any(|other| holds(&other)) {
        state.broken = Some(rules::LEASE);
    }
}

fn accept(messages: &ModelMessages, state: &mut ModelState, slot: usize, digest: &[u8; 32]) {
    let Some(row) = &state.rows[slot] else {
        state.broken = Some(rules::ROWS);
        return;
    };
    if messages.row_digests[row.variant] != *digest {
        state.broken = Some(rules::ONE_KEY);
    }
    // A conflict is identified by its key, independently of the row's state.
    let is_conflict = messages.keys[slot].as_str().contains('~');
    if is_conflict && state.replays[slot] == 0 {
        state.broken = Some(rules::HELD);
    }
    state.accepted[slot] = EventAcceptance::Now;
}

fn check_mark(messages: &ModelMessages, state: &mut ModelState, slot: usize, mark: &Mark) {
    let event = state.rows[slot]
        .as_ref()
        .and_then(|row| messages.row_events[row.variant]);
    match mark {
        Mark::Delivered { .. } if state.accepted[slot] != EventAcceptance::Now => {
            state.broken = Some(rules::DELIVERED);
        }
        Mark::Repeat { of, .. } => {
            let owner = event.and_then(|event| state.ledger[event]);
            if owner != messages.slot(of) || owner == Some(slot) {
                state.broken = Some(rules::LEDGER);
            }
        }
        _ => {}
    }
}

/// A person replays a row.
pub(super) fn replay(routines: &RoutineResults, state: &mut ModelState, slot: usize) {
    let (key, now) = (&routines.messages.keys[slot], state.now);
    let question = hash_of(&("replay", slot));
    let cause = ChangeCause::Replay { slot };
    let reply = change(routines, state, question, cause, |table| match resolve_now(
        table.replay(key, now),
    ) {
        Ok(ReplayOutcome::Done) => ModelReply::Accepted,
        _ => ModelReply::Refused,
    });
    if reply == ModelReply::Accepted {
        state.replays[slot] += 1;
        state.accepted[slot] = state.accepted[slot].min(EventAcceptance::Earlier);
    }
}

/// A person discards a row.
pub(super) fn discard(routines: &RoutineResults, state: &mut ModelState, slot: usize, erase: bool) {
    let key = &routines.messages.keys[slot];
    let request = DiscardRequest {
        erase,
        now: state.now,
        expires_at: state.now.plus(BUDGET),
    };
    let question = hash_of(&("discard", slot, erase));
    let cause = ChangeCause::Discard { slot };
    change(
        routines,
        state,
        question,
        cause,
        |table| match resolve_now(table.discard(key, &request)) {
            Ok(DiscardOutcome::Done) => ModelReply::Accepted,
            _ => ModelReply::Refused,
        },
    );
}
