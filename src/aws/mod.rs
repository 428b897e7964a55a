//! How AWS is reached: who we are, where, and over which connection.
//!
//! One HTTP client for every service, over TLS by ring and with nothing but Amazon's own roots
//! built in: loading a system's roots costs a cold start more than the first call to DynamoDB does.

pub mod sdk_error;
mod limits;

use std::{
    io,
    path::{Path, PathBuf},
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::{
    rt::sleep::{SharedAsyncSleep, TokioSleep},
    time::{SharedTimeSource, SystemTimeSource},
};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_types::{SdkConfig, region::Region, sdk_config::SharedHttpClient};
use rustls::pki_types::{CertificateDer, pem::PemObject};

pub use limits::AwsLimits;

/// The roots of Amazon Trust Services, which every AWS endpoint is certified by.
const ROOTS: &[u8] = include_bytes!("roots.pem");

/// The variables and files that say how AWS is reached.
pub trait Environment {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    fn read_file(&self, path: &Path) -> io::Result<String>;
}

/// A service of AWS that is called, by the name its endpoint variable has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsService {
    /// The inbox.
    DynamoDb,
    /// A destination.
    Sqs,
    /// A destination.
    EventBridge,
    /// Where secrets are kept.
    SecretsManager,
}

impl AwsService {
    fn variable(self) -> &'static str {
        match self {
            Self::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::EventBridge => "AWS_ENDPOINT_URL_EVENTBRIDGE",
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        }
    }
}

/// Why AWS can't be reached at all; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// No region.
    #[error("AWS_REGION is not set: set it to the region where everything is, such as eu-west-2")]
    NoRegion,
    /// No credentials.
    #[error(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: Lambda sets them; elsewhere, \
         set both"
    )]
    NoCredentials,
    /// The configured roots can't be read.
    #[error("AWS_CA_BUNDLE names {0}, which can't be read ({1}): check the path")]
    Bundle(PathBuf, io::Error),
    /// The configured roots are none.
    #[error(
        "the certificates AWS is trusted by can't be used ({0}): check the file AWS_CA_BUNDLE names"
    )]
    Tls(String),
}

/// What every client of an AWS service is made from.
#[derive(Clone, Debug)]
pub struct Aws {
    shared: SdkConfig,
    endpoints: Vec<(AwsService, String)>,
}

impl Aws {
    /// From the variables that Lambda sets, and nothing else: no profile is read, and no one is
    /// asked.
    pub fn from_variables(environment: &impl Environment) -> Result<Self, AwsError> {
        let set = |name: &str| environment.variable(name).filter(|value| !value.is_empty());
        let region = set("AWS_REGION")
            .or_else(|| set("AWS_DEFAULT_REGION"))
            .ok_or(AwsError::NoRegion)?;
        let (Some(id), Some(key)) = (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) else {
            return Err(AwsError::NoCredentials);
        };
        let credentials = Credentials::new(id, key, set("AWS_SESSION_TOKEN"), None, "variables");
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client(environment)?)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            // The timeouts of every client end a stalled call sooner; this costs each call a timer.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Self {
            shared,
            endpoints: endpoints(environment),
        })
    }

    /// From an SDK configuration that was loaded elsewhere, with the endpoints that variables name.
    pub fn new(shared: SdkConfig, environment: &impl Environment) -> Self {
        Self {
            shared,
            endpoints: endpoints(environment),
        }
    }

    /// What a client of `service` is made from.
    pub fn config(&self, service: AwsService) -> SdkConfig {
        let endpoint = self.endpoints.iter().find(|(of, _)| *of == service);
        match endpoint {
            Some((_, url)) => self.shared.to_builder().endpoint_url(url).build(),
            None => self.shared.clone(),
        }
    }
}

/// Where services are reached that don't answer at their usual address: the variables every AWS
/// tool knows.
fn endpoints(environment: &impl Environment) -> Vec<(AwsService, String)> {
    let set = |name: &str| environment.variable(name).filter(|value| !value.is_empty());
    let of = |service: AwsService| {
        Some((
            service,
            set(service.variable()).or_else(|| set("AWS_ENDPOINT_URL"))?,
        ))
    };
    [
        AwsService::DynamoDb,
        AwsService::Sqs,
        AwsService::EventBridge,
        AwsService::SecretsManager,
    ]
    .into_iter()
    .filter_map(of)
    .collect()
}

/// The one HTTP client of every AWS service, with Amazon's own roots and those of `AWS_CA_BUNDLE`.
pub fn http_client(environment: &impl Environment) -> Result<SharedHttpClient, AwsError> {
    let mut roots = TrustStore::empty().with_pem_certificate(ROOTS);
    if let Some(path) = environment
        .variable("AWS_CA_BUNDLE")
        .filter(|path| !path.is_empty())
    {
        let path = PathBuf::from(path);
        let bundle = environment
            .read_file(&path)
            .map_err(|error| AwsError::Bundle(path, error))?;
        check(&bundle)?;
        roots = roots.with_pem_certificate(bundle);
    }
    let context = TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .map_err(|error| AwsError::Tls(error.to_string()))?;
    Ok(Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}

/// The client panics on what is no certificate, so that is found out before.
fn check(bundle: &str) -> Result<(), AwsError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        let certificate = certificate.map_err(|error| AwsError::Tls(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| AwsError::Tls(error.to_string()))?;
    }
    if roots.is_empty() {
        Err(AwsError::Tls("it holds no certificate".to_owned()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{FetchedSecrets, SecretSources};

    fn aws(set: &[(&str, &str)], bundle: &str) -> Result<Aws, AwsError> {
        let env = |name: &str| {
            set.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Aws::from_variables(&SecretSources {
            env: &env,
            file: &|_| Ok(bundle.to_owned()),
            vault: FetchedSecrets::NOTHING,
        })
    }

    const KEYS: [(&str, &str); 3] = [
        ("AWS_REGION", "eu-west-2"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
    ];

    #[test]
    fn a_service_is_reached_where_its_own_variable_says_and_else_where_all_are() {
        let mut set = KEYS.to_vec();
        set.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"));
        set.push(("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:8000"));
        let aws = aws(&set, "").unwrap();
        assert_eq!(
            aws.config(AwsService::DynamoDb).endpoint_url(),
            Some("http://127.0.0.1:8000")
        );
        assert_eq!(
            aws.config(AwsService::Sqs).endpoint_url(),
            Some("http://127.0.0.1:4566")
        );
    }

    #[test]
    fn without_variables_aws_is_reached_at_its_own_addresses() {
        let aws = aws(&KEYS, "").unwrap();
        assert_eq!(aws.config(AwsService::SecretsManager).endpoint_url(), None);
        assert_eq!(
            aws.config(AwsService::DynamoDb)
                .region()
                .map(Region::as_ref),
            Some("eu-west-2")
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(matches!(aws(&KEYS[1..], ""), Err(AwsError::NoRegion)));
        assert!(matches!(aws(&KEYS[..2], ""), Err(AwsError::NoCredentials)));
    }

    #[test]
    fn a_bundle_must_hold_certificates() {
        let mut set = KEYS.to_vec();
        set.push(("AWS_CA_BUNDLE", "/etc/ssl/own.pem"));
        let own = std::str::from_utf8(ROOTS).unwrap();
        assert!(aws(&set, own).is_ok());
        for no_bundle in [
            "",
            "hello",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(
                matches!(aws(&set, no_bundle), Err(AwsError::Tls(_))),
                "{no_bundle}"
            );
        }
    }
}
