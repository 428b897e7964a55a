//! Pillarbox for a person and a machine: the receiver on SQLite or on a table, the console, and
//! the commands.
//!
//! A server that delivers to your own code is `pillarbox serve` with your destination:
//!
//! ```no_run
//! use pillarbox::{DeliveryError, Destination, Event, Key};
//!
//! struct Ledger;
//!
//! impl Destination for Ledger {
//!     async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
//!         let _ = (key, event.json()); // store the event under its key
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     pillarbox_cli::serve_to(Ledger)
//! }
//! ```

pub mod acts;
pub mod any_inbox;
mod aws;
pub mod commands;
pub mod console;
pub mod diagnose;
mod evidence;
mod labels;
mod listener;
mod lock_holder;
pub mod metrics;
pub mod overview;
mod payload;
pub mod payment;
pub mod refusals;
pub mod search;
pub mod server;
pub mod sqlite;
mod timeline;

pub use commands::serve_to;
