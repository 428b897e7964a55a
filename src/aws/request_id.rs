//! Only an answer with an AWS request id is AWS's.
//!
//! A proxy, a captive portal or another server at a wrong address may answer 200 to anything. The
//! SDK takes an empty answer to `PutItem` for a stored item, and a page that names an error of
//! AWS's for that error. Every AWS service names its request in a header, so an answer below 500
//! without that header is a failed call, whose outcome is unknown. A 500 is a failure from any
//! server, and the SDK still retries it.

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

/// An answer that AWS did not send.
#[derive(Debug, thiserror::Error)]
#[error("the answer has no AWS request id")]
pub struct NotAwsError;

/// `client`, whose answers without a request id are errors.
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
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            let has_id = answer
                .headers()
                .get(HEADER)
                .is_some_and(|id| !id.is_empty());
            if has_id || answer.status().as_u16() >= 500 {
                Ok(answer)
            } else {
                Err(ConnectorError::other(NotAwsError.into(), None))
            }
        })
    }
}
