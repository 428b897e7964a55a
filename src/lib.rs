//! Pillarbox receives callbacks from HMRC and GOV.UK Pay, proves who sent them, keeps each one
//! exactly as it came, answers within the sender's patience, and hands it on afterwards.
//!
//! The modules stand in reading order; each uses only some of those above it, as ARCHITECTURE.md
//! says.

pub mod text;
pub mod domain;
pub mod aws;
pub mod http_client;
pub mod senders;
pub mod secrets;
pub mod inbox;
pub mod destinations;
pub mod config;
pub mod telemetry;
pub mod receive;
pub mod delivery;
pub mod reconcile;
pub mod app;
pub mod lambda;
