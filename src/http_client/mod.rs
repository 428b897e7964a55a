//! Requests of our own: where they may go, and the client that sends them nowhere else.

mod address;
mod response;
mod client;
mod endpoint;

pub(crate) use client::{ClientLimits, RequestError, client, resolve};
pub(crate) use endpoint::{EndpointError, endpoint, under};
pub(crate) use response::{ClientResponse, ResponseError, ask};
