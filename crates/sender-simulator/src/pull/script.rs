//! What goes otherwise than usual, call by call.

use std::collections::VecDeque;

use super::{Reply, Service};

/// What becomes of one call.
pub enum Step<S> {
    /// It is answered by the rules.
    Usual,
    /// It is answered with this, and nothing is done.
    Instead(Reply),
    /// The connection closes, and nothing is done.
    CloseBefore,
    /// The call is worked on by the rules, then the connection closes without the answer.
    CloseAfter,
    /// There is never an answer, and nothing is done.
    Hang,
    /// It is answered by the rules; what the service knows is changed before anyone can see the answer.
    Then(Box<dyn FnOnce(&mut S) + Send>),
}

impl<S> Step<S> {
    /// An answer instead of the usual one.
    pub fn instead(reply: impl Into<Reply>) -> Self {
        Self::Instead(reply.into())
    }

    /// A change that follows the call.
    pub fn then(change: impl FnOnce(&mut S) + Send + 'static) -> Self {
        Self::Then(Box::new(change))
    }
}

/// The steps still to come, for each endpoint in its own order.
pub(super) struct Script<S: Service>(VecDeque<(S::Endpoint, Step<S>)>);

impl<S: Service> Script<S> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn add(&mut self, endpoint: S::Endpoint, steps: impl IntoIterator<Item = Step<S>>) {
        self.0
            .extend(steps.into_iter().map(|step| (endpoint, step)));
    }

    /// The next step of an endpoint; usual ones without end once the script is through.
    pub(super) fn next(&mut self, endpoint: Option<S::Endpoint>) -> Step<S> {
        let place = endpoint.and_then(|endpoint| {
            self.0
                .iter()
                .position(|(for_endpoint, _)| *for_endpoint == endpoint)
        });
        place
            .and_then(|place| self.0.remove(place))
            .map_or(Step::Usual, |(_, step)| step)
    }
}
