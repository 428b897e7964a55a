//! Requests of our own: where they may go, and the client that sends them nowhere else.

mod address;
mod answer;
mod client;
mod endpoint;

pub use answer::{ClientResponse, ResponseError, ask};
pub use client::{ClientLimits, RequestError, client};
pub use endpoint::{EndpointError, endpoint, under};
