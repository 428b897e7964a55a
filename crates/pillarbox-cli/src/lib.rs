//! Pillarbox for a person and a machine: the receiver as one process on SQLite, the console, and
//! the commands.

pub mod any_inbox;
mod aws;
pub mod commands;
pub mod console;
pub mod diagnose;
mod labels;
mod listener;
pub mod server;
pub mod sqlite;

pub use commands::serve_to;
