//! Requests of our own: where they may go, and the client that sends them nowhere else.

mod address;
mod client;
mod endpoint;

pub use client::{Limits, Unanswered, client};
pub use endpoint::{EndpointProblem, endpoint};
