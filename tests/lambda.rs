//! The Lambda: what every front's senders are told and what is stored by then, what each role does with
//! each event, and what no event whatever can do.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

#[path = "senders/clock.rs"]
mod clock;
mod support;

mod lambda {
    mod answers;
    mod any;
    mod batches;
    mod bodies;
    mod deaths;
    mod hostile;
    mod lines;
    mod process;
    mod pull;
    mod reconcile;
    mod reconcile_shipped;
    mod roles;
    mod signatures;
    mod time;
}
