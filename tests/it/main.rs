//! Tests that run in this process: the library and the server, over real sockets, with simulated
//! senders and an emulator of DynamoDB.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

mod architecture;
mod aws;
mod calm_day;
mod check;
mod cloudwatch;
mod conformance;
mod events;
mod faults;
mod https_destinations;
mod lambda;
mod limits;
mod model_and_table;
mod names;
mod receive;
mod reconcile;
mod senders;
mod simulate;
mod simulate_faults;
mod template;
mod verify;

/// `examples/events` has a copy, which the test of its files shares.
use test_support::fronts;
