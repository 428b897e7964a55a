//! Pillarbox receives callbacks from HMRC and GOV.UK Pay, proves who sent them, keeps each one
//! exactly as it came, answers within the sender's patience, and hands it on afterwards.
//!
//! The modules stand in reading order; each uses only some of those above it, as ARCHITECTURE.md says.

pub mod notification;
pub mod world;
mod text;
pub mod secret;
pub mod aws;
pub mod outbound;
pub mod source;
pub mod inbox;
pub mod destination;
pub mod config;
pub mod receive;
pub mod keyring;
pub mod process;
pub mod reconcile;
#[cfg(feature = "local")]
pub mod simulate;
pub mod observe;
pub mod app;
pub mod entry;
