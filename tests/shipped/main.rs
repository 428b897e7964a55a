//! Tests of the binaries, which are started as processes: exit codes, streams, signals, and words.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

mod alarms;
mod aws;
mod check_command;
mod cli;
mod evidence;
mod lambda;
mod lambda_deaths;
mod lambda_reconcile;
mod own_destination;
mod own_destination_lambda;
mod process;
mod receive;
mod reconcile_command;
mod restore;
mod simulate_command;
mod strangers;
mod streams;
mod table;
