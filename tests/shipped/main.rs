//! Tests of the binaries, which are started as processes: exit codes, streams, signals, and words.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

mod accounts;
mod acts;
mod alarms;
mod as_sent;
mod aws;
mod check_command;
mod cli;
mod credentials;
mod documents;
mod evidence;
mod import;
mod lambda;
mod lambda_deaths;
mod lambda_reconcile;
mod leaks;
mod monitoring;
mod own_destination;
mod own_destination_lambda;
mod privacy;
mod process;
mod read_commands;
mod receive;
mod reconcile_command;
mod replicas;
mod restore;
mod routes;
mod runbook;
mod simulate_command;
mod status_and_find;
mod strangers;
mod streams;
mod table;
