//! Scripted failures, one step per call, and the log of all calls.

use std::collections::VecDeque;

use super::{
    ApiCall, ApiRequest, ApiResponse, ApiServer, CallLog, CallOutcome, SenderApi,
    server::CallAction,
};
use crate::{Clock, Timestamp};

/// The scripted treatment of one call.
pub enum ScriptedStep<S> {
    /// It is answered by the sender's rules.
    Usual,
    /// It has no effect and gets this response.
    Instead(ApiResponse),
    /// It has no effect and the connection closes.
    CloseBefore,
    /// It has its usual effect, and the connection closes without the response.
    CloseAfter,
    /// It has no effect and gets no response.
    Hang,
    /// It is answered by the sender's rules. The state is changed before the response is sent.
    Then(Box<dyn FnOnce(&mut S) + Send>),
}

impl<S> ScriptedStep<S> {
    /// A response instead of the usual one.
    pub fn instead(response: impl Into<ApiResponse>) -> Self {
        Self::Instead(response.into())
    }

    /// A change of the state after the call.
    pub fn then(change: impl FnOnce(&mut S) + Send + 'static) -> Self {
        Self::Then(Box::new(change))
    }
}

/// The remaining steps, in order for each endpoint, and the calls so far.
pub(super) struct ScriptedCalls<S: SenderApi> {
    steps: VecDeque<(S::Endpoint, ScriptedStep<S>)>,
    calls: Vec<ApiCall<S::Endpoint>>,
}

impl<S: SenderApi> ScriptedCalls<S> {
    pub(super) fn new() -> Self {
        Self {
            steps: VecDeque::new(),
            calls: Vec::new(),
        }
    }

    /// The next step of an endpoint; the usual one after the end of the script.
    fn next_step(&mut self, endpoint: Option<S::Endpoint>) -> ScriptedStep<S> {
        let is_next = |(scripted, _): &(S::Endpoint, _)| Some(*scripted) == endpoint;
        let next = self.steps.iter().position(is_next);
        let step = next.and_then(|next| self.steps.remove(next));
        step.map_or(ScriptedStep::Usual, |(_, step)| step)
    }

    /// Handles one call by the script, and logs it.
    pub(super) fn handle(
        &mut self,
        api: &mut S,
        request: &ApiRequest,
        now: Timestamp,
        clock: &dyn Clock,
    ) -> CallAction {
        let endpoint = S::endpoint(request);
        let respond = |response: ApiResponse| {
            (
                CallOutcome::Answered(response.status),
                CallAction::Respond(response),
            )
        };
        let (outcome, action) = match self.next_step(endpoint) {
            ScriptedStep::Usual => respond(api.answer(request, now, clock)),
            ScriptedStep::Instead(response) => respond(response),
            ScriptedStep::CloseBefore => (CallOutcome::Lost, CallAction::Close),
            ScriptedStep::CloseAfter => {
                let response = api.answer(request, now, clock);
                (CallOutcome::Withheld(response.status), CallAction::Close)
            }
            ScriptedStep::Hang => (CallOutcome::Lost, CallAction::Hang),
            ScriptedStep::Then(change) => {
                let response = api.answer(request, now, clock);
                change(api);
                respond(response)
            }
        };
        self.calls.push(ApiCall {
            at: now,
            endpoint,
            method: request.method.clone(),
            target: request.target(),
            body: request.body.clone(),
            outcome,
        });
        action
    }
}

impl<S: SenderApi> ApiServer<S> {
    /// Adds steps for the next calls to an endpoint, one per call, after the steps it has.
    pub fn script(&self, endpoint: S::Endpoint, steps: impl IntoIterator<Item = ScriptedStep<S>>) {
        let steps = steps.into_iter().map(|step| (endpoint, step));
        self.shared.lock().calls.steps.extend(steps);
    }

    /// Answers the next `times` calls to an endpoint with this response.
    pub fn refuse_next(
        &self,
        times: usize,
        endpoint: S::Endpoint,
        response: impl Into<ApiResponse>,
    ) {
        let responses = std::iter::repeat_n(response.into(), times);
        self.script(endpoint, responses.map(ScriptedStep::Instead));
    }

    /// All calls so far.
    pub fn calls(&self) -> CallLog<S::Endpoint> {
        CallLog::new(self.shared.lock().calls.calls.clone())
    }
}
