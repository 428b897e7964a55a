//! Requests of our own: where they may go, and the client that sends them nowhere else.

mod address;
mod answer;
mod client;
mod endpoint;

pub use answer::{Answer, NoAnswer, ask};
pub use client::{Limits, Unanswered, client};
pub use endpoint::{EndpointProblem, endpoint, under};
