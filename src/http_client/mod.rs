//! Requests of our own: where they may go, and the client that sends them nowhere else.

mod address;
mod response;
mod client;
mod endpoint;

pub use client::{ClientLimits, RequestError, client, resolve};
pub use endpoint::{EndpointError, endpoint, under};
pub use response::{ClientResponse, ResponseError, ask};
