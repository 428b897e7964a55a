//! Reconciling over real sockets, against simulated senders and a clock that the test moves.

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
