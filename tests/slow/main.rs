//! Tests that take longer than the others: many crashes, and ten thousand notifications.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

mod clients;
mod kill;
mod pump;
mod replicas;
