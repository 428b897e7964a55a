//! The model for `stateright`: the possible actions in a state, and the next state after each.

use std::{sync::Arc, time::Duration};

use pillarbox::{
    delivery::{BUDGET, LEASE_DURATION},
    inbox::{DeliveryInbox, MAX_AHEAD, SourceFilter},
};
use stateright::{Model, Property};

use super::{
    answer_cache::AnswerCache,
    bounds::ModelBounds,
    effect, goals,
    messages::HMRC,
    routine::{ModelRoutine, RoutineResults, RoutineStep},
    rules,
    script::ScriptedCall,
    state::{ModelProcess, ModelReply, ModelRow, ModelState, SLOTS, hash_of},
};
use crate::simulate::table::resolve_now;

/// The outcome of one call and its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallOutcome {
    /// The call takes effect, and the process gets the reply.
    Done,
    /// The call takes effect twice, because the network or the client repeats it.
    Repeated,
    /// The call takes effect, and the reply is lost.
    ReplyLost,
    /// The call fails before it takes effect.
    Fails,
    /// The destination refuses the event permanently.
    RefusedForGood,
    /// The process ends before the call takes effect.
    EndsBefore,
    /// The process ends after the call takes effect.
    EndsAfter,
    /// The process gives up the call, which may take effect later.
    Late,
}

/// An action of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModelAction {
    /// A sender posts a copy of a message. The receiver's call has this outcome.
    Post(usize, CallOutcome),
    /// The stream or a sweep starts an attempt of a row. The claim has this outcome.
    Attempt(usize, CallOutcome),
    /// Reconcile lists HMRC's box.
    Pull,
    /// The next call of this process has this outcome.
    Call(usize, CallOutcome),
    /// A late call takes effect.
    TakesEffect(usize),
    /// A late call never takes effect.
    NeverTakesEffect(usize),
    /// A person replays this row.
    Replay(usize),
    /// A person discards this row, and its bytes if the flag is set.
    Discard(usize, bool),
    /// Time passes until every lease has lapsed and every retry is due.
    Wait,
    /// Time passes until the budget of every row has ended.
    WaitDays,
}

/// The model with its bounds.
pub(super) struct RowModel {
    pub(super) bounds: ModelBounds,
    pub(super) routines: Arc<RoutineResults>,
    /// A fault that a test plants: it changes the state after an action.
    #[cfg(test)]
    pub(super) plant: fn(ModelAction, &mut ModelState),
    /// Whether each state drains.
    drained: AnswerCache<bool>,
}

impl RowModel {
    pub(super) fn new(bounds: ModelBounds, routines: Arc<RoutineResults>) -> Self {
        Self {
            bounds,
            routines,
            #[cfg(test)]
            plant: |_, _| {},
            drained: AnswerCache::default(),
        }
    }

    /// Adds an action for each possible outcome of a process's next call.
    fn offer_calls(
        &self,
        state: &ModelState,
        process: &ModelProcess,
        actions: &mut Vec<ModelAction>,
        action: impl Fn(CallOutcome) -> ModelAction,
    ) {
        if let RoutineStep::Calls(call) = &*self.routines.step(process) {
            actions.extend(possible_outcomes(call).iter().copied().map(&action));
            if state.late_calls.len() < self.bounds.late_calls {
                actions.push(action(CallOutcome::Late));
            }
        }
    }

    /// Adds a reply to a process, and keeps the process if it has a next call.
    fn proceed(&self, state: &mut ModelState, mut process: ModelProcess, reply: ModelReply) {
        process.1.push((state.now, reply));
        match (&*self.routines.step(&process), process.0) {
            (RoutineStep::Calls(_), _) => state.live.push(process),
            (RoutineStep::Answers(200), ModelRoutine::Receive { message, .. }) => {
                state.acknowledged[message] = true;
            }
            (RoutineStep::Answers(status), _) if *status != 503 => {
                state.broken = Some(rules::STATUS);
            }
            _ => {}
        }
    }

    /// Makes the next call of a process, with this outcome.
    fn make_call(&self, state: &mut ModelState, process: ModelProcess, outcome: CallOutcome) {
        let step = self.routines.step(&process);
        let RoutineStep::Calls(call) = &*step else {
            return;
        };
        let take_effect =
            |state: &mut ModelState| effect::take_effect(&self.routines, state, &process, call);
        match outcome {
            CallOutcome::Done => {
                let reply = take_effect(state);
                self.proceed(state, process, reply);
            }
            CallOutcome::Repeated => {
                take_effect(state);
                let reply = take_effect(state);
                self.proceed(state, process, reply);
            }
            CallOutcome::ReplyLost => {
                take_effect(state);
                self.proceed(state, process, ModelReply::Failed);
            }
            CallOutcome::Fails => self.proceed(state, process, ModelReply::Failed),
            CallOutcome::RefusedForGood => self.proceed(state, process, ModelReply::Refused),
            CallOutcome::EndsBefore => {}
            CallOutcome::EndsAfter => drop(take_effect(state)),
            CallOutcome::Late => {
                state.late_calls.push(process.clone());
                self.proceed(state, process, ModelReply::Failed);
            }
        }
    }

    /// Adds actions for copies of a message. A copy does not change a stored message, so then only
    /// its answer matters; after an answer 200, nothing does.
    fn offer_copies(&self, state: &ModelState, message: usize, actions: &mut Vec<ModelAction>) {
        let at = state.now;
        let receiver = (ModelRoutine::Receive { message, at }, Vec::new());
        let post = |outcome| ModelAction::Post(message, outcome);
        let is_stored = rules::is_stored(&self.routines.messages, state, message);
        match (is_stored, state.acknowledged[message]) {
            (true, true) => actions.push(post(CallOutcome::Done)),
            (true, false) => actions.extend([CallOutcome::Done, CallOutcome::Fails].map(post)),
            (false, _) => self.offer_calls(state, &receiver, actions, post),
        }
    }

    /// The number of delivery attempts in progress.
    fn workers(state: &ModelState) -> usize {
        let is_attempt =
            |process: &&ModelProcess| matches!(process.0, ModelRoutine::Attempt { .. });
        state.live.iter().filter(is_attempt).count()
    }

    /// A worker before its claim of a row.
    fn worker(state: &ModelState, slot: usize) -> ModelProcess {
        let routine = ModelRoutine::Attempt {
            slot,
            at: state.now,
            lease: state.unused_lease(slot),
        };
        (routine, Vec::new())
    }

    fn offer_attempts(&self, state: &ModelState, actions: &mut Vec<ModelAction>) {
        if Self::workers(state) >= self.bounds.workers {
            return;
        }
        for (slot, row) in state.rows.iter().enumerate() {
            let is_within = |row: &ModelRow| row.attempts < self.bounds.attempts;
            if !row.as_ref().is_some_and(is_within) {
                continue;
            }
            let worker = Self::worker(state, slot);
            self.offer_calls(state, &worker, actions, |outcome| {
                ModelAction::Attempt(slot, outcome)
            });
        }
    }

    fn offer_person(&self, state: &ModelState, actions: &mut Vec<ModelAction>) {
        let stored = (0..SLOTS).filter(|&slot| state.rows[slot].is_some());
        for slot in stored {
            if state.replays.iter().sum::<u8>() < self.bounds.replays {
                actions.push(ModelAction::Replay(slot));
            }
            if self.bounds.discards {
                actions.push(ModelAction::Discard(slot, false));
                actions.push(ModelAction::Discard(slot, true));
            }
        }
    }

    /// Whether the state drains after the faults end: all processes end, late calls are lost, the
    /// senders post unacknowledged messages again, and sweeps continue.
    fn drains(&self, state: &ModelState) -> bool {
        let known = hash_of(&(&state.rows, &state.ledger, &state.acknowledged));
        *self.drained.get(known, || {
            let mut state = state.clone();
            state.live.clear();
            state.late_calls.clear();
            self.drain(&mut state)
        })
    }

    fn drain(&self, state: &mut ModelState) -> bool {
        let work = |state: &mut ModelState, routine| {
            self.make_call(state, (routine, Vec::new()), CallOutcome::Done);
            while let Some(process) = state.live.pop() {
                self.make_call(state, process, CallOutcome::Done);
            }
        };
        if self.bounds.messages.contains(&HMRC) && !state.acknowledged[HMRC] {
            work(state, ModelRoutine::Pull { at: state.now });
        }
        let at = state.now;
        for &message in self.bounds.messages {
            if !state.acknowledged[message] {
                work(state, ModelRoutine::Receive { message, at });
            }
        }
        let is_acknowledged = |message: &usize| state.acknowledged[*message];
        if !self.bounds.messages.iter().all(is_acknowledged) {
            return false;
        }
        for _ in 0..SLOTS {
            state.now = state.now.plus(MAX_AHEAD);
            let messages = &self.routines.messages;
            let table = state.table(messages);
            let due = resolve_now(table.find_due(&SourceFilter::ALL, state.now, SLOTS));
            for key in due.unwrap_or_default() {
                let slot = messages.slot(&key).unwrap_or_default();
                let worker = Self::worker(state, slot);
                work(state, worker.0);
            }
            if state.is_drained() {
                return state.broken.is_none();
            }
        }
        false
    }

    /// Applies an action to the state.
    fn apply(&self, state: &mut ModelState, action: ModelAction) {
        let at = state.now;
        match action {
            ModelAction::Post(message, outcome) => {
                let routine = ModelRoutine::Receive { message, at };
                self.make_call(state, (routine, Vec::new()), outcome);
            }
            ModelAction::Attempt(slot, outcome) => {
                let worker = Self::worker(state, slot);
                self.make_call(state, worker, outcome);
            }
            ModelAction::Pull => state.live.push((ModelRoutine::Pull { at }, Vec::new())),
            ModelAction::Call(index, outcome) => {
                let process = state.live.remove(index);
                self.make_call(state, process, outcome);
            }
            ModelAction::TakesEffect(index) => {
                let process = state.late_calls.remove(index);
                if let RoutineStep::Calls(call) = &*self.routines.step(&process) {
                    effect::take_effect(&self.routines, state, &process, call);
                }
            }
            ModelAction::NeverTakesEffect(index) => drop(state.late_calls.remove(index)),
            ModelAction::Replay(slot) => effect::replay(&self.routines, state, slot),
            ModelAction::Discard(slot, erase) => {
                effect::discard(&self.routines, state, slot, erase);
            }
            ModelAction::Wait => state.advance_time(LEASE_DURATION + Duration::from_secs(1)),
            ModelAction::WaitDays => {
                state.long_waits += 1;
                state.advance_time(BUDGET);
            }
        }
    }
}

impl Model for RowModel {
    type State = ModelState;
    type Action = ModelAction;

    fn init_states(&self) -> Vec<ModelState> {
        vec![ModelState::new()]
    }

    fn actions(&self, state: &ModelState, actions: &mut Vec<ModelAction>) {
        if state.broken.is_some() {
            return;
        }
        for &message in self.bounds.messages {
            self.offer_copies(state, message, actions);
        }
        self.offer_attempts(state, actions);
        let is_pulling = |process: &ModelProcess| matches!(process.0, ModelRoutine::Pull { .. });
        let is_listed = self.bounds.messages.contains(&HMRC) && !state.acknowledged[HMRC];
        if is_listed && self.bounds.puller && !state.live.iter().any(is_pulling) {
            actions.push(ModelAction::Pull);
        }
        for (index, process) in state.live.iter().enumerate() {
            self.offer_calls(state, process, actions, |outcome| {
                ModelAction::Call(index, outcome)
            });
        }
        for index in 0..state.late_calls.len() {
            actions.push(ModelAction::TakesEffect(index));
            actions.push(ModelAction::NeverTakesEffect(index));
        }
        self.offer_person(state, actions);
        actions.push(ModelAction::Wait);
        // A claim that is late by more than an hour would treat the other clocks as wrong.
        if state.long_waits < self.bounds.long_waits && state.late_calls.is_empty() {
            actions.push(ModelAction::WaitDays);
        }
    }

    fn next_state(&self, before: &ModelState, action: ModelAction) -> Option<ModelState> {
        let mut state = before.clone();
        self.apply(&mut state, action);
        #[cfg(test)]
        (self.plant)(action, &mut state);
        state.advance_time(Duration::ZERO);
        state.sort();
        if state.broken.is_none() {
            state.broken = rules::broken_in(&self.routines.messages, &state);
        }
        if state.broken.is_none() && !self.drains(&state) {
            state.broken = Some(rules::DRAINS);
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = rules::properties();
        properties.extend(goals::reached());
        properties
    }
}

/// The possible outcomes of a call. Outcomes with the same result as another are left out.
fn possible_outcomes(call: &ScriptedCall) -> &'static [CallOutcome] {
    use CallOutcome::{Done, EndsAfter, EndsBefore, Fails, RefusedForGood, Repeated, ReplyLost};
    match call {
        ScriptedCall::Record(_) => &[Done, Repeated, ReplyLost, Fails, EndsAfter],
        ScriptedCall::Claim(..) => &[Done, Repeated, ReplyLost, Fails],
        ScriptedCall::ClaimEvent(..) | ScriptedCall::Mark(..) => {
            &[Done, Repeated, ReplyLost, EndsBefore]
        }
        ScriptedCall::Deliver(..) => &[
            Done,
            ReplyLost,
            Fails,
            RefusedForGood,
            EndsBefore,
            EndsAfter,
        ],
        ScriptedCall::Acknowledge(_) => &[Done, ReplyLost, Fails, EndsBefore],
    }
}
