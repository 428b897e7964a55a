//! Requests of our own: where they may go, and the client that sends them nowhere else.

mod address;
mod response;
mod client;
mod endpoint;
mod proxy;
mod tls;

pub(crate) use address::AddressRule;
pub use client::HttpClientError;
pub use client::RequestError;
pub(crate) use client::{ClientLimits, OutboundNetwork, client, fresh_client, resolve};
pub(crate) use endpoint::{EndpointError, endpoint, endpoint_within, under};
pub(crate) use proxy::OutboundProxy;
pub use proxy::OutboundProxyError;
pub(crate) use response::ask;
pub use response::{ClientResponse, ResponseError};
pub(crate) use tls::TrustedRoots;
pub use tls::TrustedRootsError;
