//! The forms that change rows. Every address begins with `/acts/`, which the guard refuses unless
//! changes are allowed.

use axum::Router;

use super::{inbox::ConsoleInbox, state::SharedState};

/// The routes of the acts.
pub(super) fn routes<I: ConsoleInbox>() -> Router<SharedState<I>> {
    Router::new()
}
