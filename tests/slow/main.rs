//! Tests that take longer than the others: many crashes, and ten thousand notifications.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not recognise the helpers of a test as test code"
)]

mod clients;
mod kill;
mod pump;
mod replicas;
