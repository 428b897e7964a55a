//! Reconciling over real sockets, against senders that are played and a clock that a test moves.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

#[path = "senders/clock.rs"]
mod clock;
#[path = "support/dynamodb.rs"]
mod dynamodb;
#[path = "support/fault_proxy.rs"]
mod fault_proxy;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/table.rs"]
mod table;

mod reconcile {
    mod fused;
    mod hmrc;
    mod hmrc_faults;
    mod hmrc_killed;
    mod hmrc_stuck;
    mod hmrc_together;
    mod machine;
    mod on_a_table;
    mod pay;
    mod pay_api;
    mod pay_faults;
    mod pay_killed;
    mod ppns;
}
