//! A baseline: a minimal Lambda with the AWS SDK that stores a notification before it answers.
//!
//! It checks one signature and makes one conditional write. It has no configuration, second sender,
//! limits or log. The difference to Pillarbox is the cost of everything else that Pillarbox does.

#![expect(
    clippy::disallowed_methods,
    reason = "this program has no configuration"
)]

use std::{collections::HashMap, fs};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Region, SharedAsyncSleep},
    primitives::Blob,
    types::AttributeValue,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use hmac::{Hmac, KeyInit, Mac};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The root certificates of Pillarbox: loading the system's costs more than the first call to
/// DynamoDB.
const ROOTS: &[u8] = include_bytes!("../../../../src/aws/roots.pem");

#[derive(Deserialize)]
struct Request {
    headers: HashMap<String, String>,
    body: String,
}

#[derive(Deserialize)]
struct Message {
    webhook_message_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status_code: u16,
    body: &'static str,
}

struct Floor {
    client: Client,
    table: String,
    key: Hmac<Sha256>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let key = Hmac::new_from_slice(variable("PAY_SIGNING_SECRET")?.as_bytes())?;
    let floor = &Floor {
        client: client()?,
        table: variable("TABLE")?,
        key,
    };
    floor.warm().await?;
    run(service_fn(|event: LambdaEvent<Request>| {
        floor.receive(event.payload)
    }))
    .await
}

impl Floor {
    /// Opens the connection during init, which has a whole processor for functions of every size.
    async fn warm(&self) -> Result<(), Error> {
        let pk = AttributeValue::S("~warm".to_owned());
        self.client
            .get_item()
            .table_name(&self.table)
            .key("pk", pk)
            .send()
            .await?;
        Ok(())
    }

    async fn receive(&self, request: Request) -> Result<Response, Error> {
        if !self.is_signed(&request) {
            return Ok(Response {
                status_code: 401,
                body: r#"{"error":"signature"}"#,
            });
        }
        let message: Message = serde_json::from_str(&request.body)?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .condition_expression("attribute_not_exists(pk)");
        put.item(
            "pk",
            AttributeValue::S(format!("pay:{}", message.webhook_message_id)),
        )
        .item("body", AttributeValue::B(Blob::new(request.body)))
        .send()
        .await?;
        Ok(Response {
            status_code: 200,
            body: r#"{"status":"recorded"}"#,
        })
    }

    fn is_signed(&self, request: &Request) -> bool {
        let signature = request
            .headers
            .get("pay-signature")
            .and_then(|text| hex::decode(text).ok());
        let mac = self.key.clone().chain_update(&request.body);
        signature.is_some_and(|signature| mac.verify_slice(&signature).is_ok())
    }
}

fn client() -> Result<Client, Error> {
    let roots = TrustStore::empty().with_pem_certificate(ROOTS);
    let roots = roots.with_pem_certificate(fs::read(variable("AWS_CA_BUNDLE")?)?);
    let context = TlsContext::builder().with_trust_store(roots).build()?;
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    let (id, secret) = (
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
    );
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(Credentials::new(
            id,
            secret,
            Some(variable("AWS_SESSION_TOKEN")?),
            None,
            "variables",
        ))
        .endpoint_url(variable("AWS_ENDPOINT_URL_DYNAMODB")?)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .http_client(http);
    Ok(Client::from_conf(config.build()))
}

fn variable(name: &str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}
