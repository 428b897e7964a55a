//! Rejects responses without an AWS request id, because AWS did not send them.
//!
//! A proxy, a captive portal or another server at a wrong address may respond to any request with
//! 200. The SDK takes an empty response to `PutItem` as a stored item, and a page that contains an
//! AWS error code as that error. Every AWS service sends a request id in a header, so a response
//! below 500 without that header is a failed call with an unknown outcome. A 500 is a failure
//! whichever server sent it, and the SDK still retries it.

use std::fmt;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpClient, SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        result::ConnectorError,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::config_bag::ConfigBag;

/// The header that every AWS service sends.
const HEADER: &str = "x-amzn-requestid";

/// A response that AWS did not send.
#[derive(Debug, thiserror::Error)]
#[error("the response has no AWS request id")]
pub struct NotAwsError;

/// Wraps `client`, so that a response without a request id is an error.
pub(super) fn require_request_id(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(RequestIdClient(client))
}

struct RequestIdClient(SharedHttpClient);

impl fmt::Debug for RequestIdClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl HttpClient for RequestIdClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.0.http_connector(settings, components);
        SharedHttpConnector::new(RequestIdConnector(connector))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_base_client_config(&self.0, components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_final_config(&self.0, components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

#[derive(Debug)]
struct RequestIdConnector(SharedHttpConnector);

impl HttpConnector for RequestIdConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let response = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let response = response.await?;
            let has_id = response
                .headers()
                .get(HEADER)
                .is_some_and(|id| !id.is_empty());
            if has_id || response.status().as_u16() >= 500 {
                Ok(response)
            } else {
                Err(ConnectorError::other(NotAwsError.into(), None))
            }
        })
    }
}
