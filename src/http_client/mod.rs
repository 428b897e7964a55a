//! Outgoing requests: which URLs and addresses are allowed, and the client that enforces it.

mod address;
mod response;
mod client;
mod endpoint;
mod proxy;
mod tls;

pub(crate) use address::AddressRule;
pub(crate) use client::{ClientLimits, OutboundNetwork, client, fresh_client, resolve};
pub use client::{HttpClientError, RequestError};
pub(crate) use endpoint::{EndpointError, endpoint, endpoint_within, under};
pub(crate) use proxy::OutboundProxy;
pub use proxy::OutboundProxyError;
pub(crate) use response::send;
pub use response::{ClientResponse, ResponseError};
pub(crate) use tls::TrustedRoots;
pub use tls::TrustedRootsError;
