//! Access to AWS: credentials, region, endpoints and the HTTP client.
//!
//! All services share one HTTP client. It uses TLS by ring and trusts only the built-in roots of
//! Amazon, because loading the system's roots takes longer in a cold start than the first call to
//! DynamoDB.

mod connector;
pub mod sdk_error;
mod limits;
mod renewed_credentials;
mod request_id;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_smithy_async::{
    rt::sleep::{SharedAsyncSleep, TokioSleep},
    time::{SharedTimeSource, SystemTimeSource},
};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_types::{SdkConfig, region::Region, sdk_config::SharedHttpClient};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use connector::PooledHttpClient;
pub use limits::AwsLimits;
use renewed_credentials::RenewedCredentials;
pub use request_id::NotAwsError;
use request_id::require_request_id;

/// The roots of Amazon Trust Services, which certifies every AWS endpoint.
const ROOTS: &str = include_str!("roots.pem");

/// Reads the variables and files that configure access to AWS.
pub trait AwsEnvironment {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The value of an environment variable that is set and not empty.
    fn non_empty_variable(&self, name: &str) -> Option<String> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// The content of a file.
    fn read_file(&self, path: &Path) -> io::Result<String>;
}

/// An AWS service that Pillarbox calls. Each has its own endpoint variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsService {
    /// The inbox.
    DynamoDb,
    /// A destination.
    Sqs,
    /// A destination.
    EventBridge,
    /// The store of secrets.
    SecretsManager,
    /// Names the identity of a caller.
    SecurityToken,
}

/// Every service.
const SERVICES: [AwsService; 5] = [
    AwsService::DynamoDb,
    AwsService::Sqs,
    AwsService::EventBridge,
    AwsService::SecretsManager,
    AwsService::SecurityToken,
];

/// The variable of the endpoint of a service whose own variable is not set.
const COMMON_ENDPOINT: &str = "AWS_ENDPOINT_URL";

impl AwsService {
    fn variable(self) -> &'static str {
        match self {
            Self::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::EventBridge => "AWS_ENDPOINT_URL_EVENTBRIDGE",
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::SecurityToken => "AWS_ENDPOINT_URL_STS",
        }
    }
}

/// Why a client of AWS cannot be created, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// No region is configured.
    #[error("AWS_REGION is not set: set it to the region of your resources, such as eu-west-2")]
    NoRegion,
    /// No AWS credentials were found.
    #[error(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: Lambda sets them; elsewhere, \
         set both"
    )]
    NoCredentials,
    /// No source of credentials is configured.
    #[error(
        "no AWS credentials were found: give the container a role (an ECS task role, EKS Pod \
         Identity or a web identity), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY"
    )]
    CredentialsNotFound,
    /// The configured source of credentials returned none.
    #[error("the AWS credentials cannot be loaded: {0}: check {1}")]
    CredentialsNotLoaded(&'static str, String),
    /// The variable of an endpoint is empty.
    #[error("{0} is empty: unset it, or set it to the URL of the service")]
    EmptyEndpoint(&'static str),
    /// The configured roots cannot be read.
    #[error("AWS_CA_BUNDLE names {0}, which cannot be read ({1}): check the path")]
    Bundle(PathBuf, io::Error),
    /// The configured roots are not valid certificates.
    #[error(
        "the trusted certificates cannot be used ({0}): check the file that AWS_CA_BUNDLE names"
    )]
    Tls(String),
}

/// The configuration that clients of all AWS services share.
#[derive(Clone, Debug)]
pub struct AwsConfig {
    shared: SdkConfig,
    endpoints: Vec<(AwsService, String)>,
}

impl AwsConfig {
    /// Reads the variables that Lambda sets. No profile and no metadata service is read.
    pub fn from_variables(environment: &impl AwsEnvironment) -> Result<Self, AwsError> {
        let set = |name: &str| environment.non_empty_variable(name);
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

    /// Uses an SDK configuration that was loaded elsewhere, with the endpoints of the variables.
    /// Its credentials are loaded now, and renewed before they expire. The SDK's own cache of
    /// credentials must be off.
    pub async fn with_credentials_of(
        shared: SdkConfig,
        environment: &impl AwsEnvironment,
    ) -> Result<Self, AwsError> {
        let source = shared.credentials_provider();
        let source = source.ok_or(AwsError::CredentialsNotFound)?;
        let time = SharedTimeSource::new(SystemTimeSource::new());
        let renewed = RenewedCredentials::new(source, time);
        renewed
            .provide_credentials()
            .await
            .map_err(|error| not_loaded(&error, environment))?;
        let shared = shared
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(renewed))
            .build();
        Ok(Self {
            shared,
            endpoints: endpoints(environment),
        })
    }

    /// The id of the access key that signs requests. It is not secret.
    pub async fn access_key_id(&self) -> Option<String> {
        let provider = self.shared.credentials_provider()?;
        let credentials = provider.provide_credentials().await.ok()?;
        Some(credentials.access_key_id().to_owned())
    }

    /// Whether requests to `service` go to the endpoint that a variable names.
    pub fn has_own_endpoint(&self, service: AwsService) -> bool {
        self.endpoints.iter().any(|(named, _)| *named == service)
    }

    /// The configuration of a client of `service`.
    pub fn config(&self, service: AwsService) -> SdkConfig {
        let http = self.shared.http_client().map(require_request_id);
        let mut config = self.shared.to_builder();
        config.set_http_client(http);
        let endpoint = self
            .endpoints
            .iter()
            .find(|(configured, _)| *configured == service);
        match endpoint {
            Some((_, url)) => config.endpoint_url(url).build(),
            None => config.build(),
        }
    }
}

/// The variables that configure a source of credentials.
const CREDENTIAL_VARIABLES: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Why no credentials were loaded. The SDK's text is not repeated, because it may quote a response.
fn not_loaded(error: &CredentialsError, environment: &impl AwsEnvironment) -> AwsError {
    let set: Vec<&str> = CREDENTIAL_VARIABLES
        .into_iter()
        .filter(|name| environment.non_empty_variable(name).is_some())
        .collect();
    let check = if set.is_empty() {
        "the profile".to_owned()
    } else {
        format!("{} and the role behind them", set.join(", "))
    };
    let reason = match error {
        CredentialsError::CredentialsNotLoaded(_) if set.is_empty() => {
            return AwsError::CredentialsNotFound;
        }
        CredentialsError::CredentialsNotLoaded(_) => "their source gives none",
        CredentialsError::ProviderTimedOut(_) => "their source does not answer in time",
        CredentialsError::InvalidConfiguration(_) => "their source is not configured correctly",
        _ => "their source failed, or refused",
    };
    AwsError::CredentialsNotLoaded(reason, check)
}

/// The endpoints that the standard AWS variables configure.
fn endpoints(environment: &impl AwsEnvironment) -> Vec<(AwsService, String)> {
    let endpoint_of = |service: AwsService| {
        let own = environment.non_empty_variable(service.variable());
        let url = own.or_else(|| environment.non_empty_variable(COMMON_ENDPOINT))?;
        Some((service, url))
    };
    SERVICES.into_iter().filter_map(endpoint_of).collect()
}

/// Checks that no variable of an endpoint is empty, because the SDK panics on one.
pub fn require_endpoints(environment: &impl AwsEnvironment) -> Result<(), AwsError> {
    let mut names = SERVICES
        .into_iter()
        .map(AwsService::variable)
        .chain([COMMON_ENDPOINT]);
    let empty = names.find(|name| environment.variable(name).is_some_and(|url| url.is_empty()));
    empty.map_or(Ok(()), |name| Err(AwsError::EmptyEndpoint(name)))
}

/// The HTTP client of all AWS services. It trusts Amazon's roots and those of `AWS_CA_BUNDLE`.
pub fn http_client(environment: &impl AwsEnvironment) -> Result<SharedHttpClient, AwsError> {
    let mut roots = RootCertStore::empty();
    add_certificates(&mut roots, ROOTS)?;
    if let Some(path) = environment.non_empty_variable("AWS_CA_BUNDLE") {
        let path = PathBuf::from(path);
        let bundle = environment
            .read_file(&path)
            .map_err(|error| AwsError::Bundle(path, error))?;
        add_certificates(&mut roots, &bundle)?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| AwsError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(SharedHttpClient::new(PooledHttpClient::new(tls)))
}

/// Adds the certificates of a bundle. A bundle without certificates is an error.
fn add_certificates(roots: &mut RootCertStore, bundle: &str) -> Result<(), AwsError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        let certificate = certificate.map_err(|error| AwsError::Tls(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| AwsError::Tls(error.to_string()))?;
    }
    if roots.len() == before {
        Err(AwsError::Tls("the file holds no certificate".to_owned()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{FetchedSecrets, SecretSources};

    fn aws(set: &[(&str, &str)], bundle: &str) -> Result<AwsConfig, AwsError> {
        let env = |name: &str| {
            set.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        AwsConfig::from_variables(&SecretSources {
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
    fn the_endpoint_of_a_service_overrides_the_common_endpoint() {
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
    fn without_variables_the_sdk_chooses_the_endpoint() {
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
    fn a_missing_region_or_credential_is_named() {
        assert!(matches!(aws(&KEYS[1..], ""), Err(AwsError::NoRegion)));
        assert!(matches!(aws(&KEYS[..2], ""), Err(AwsError::NoCredentials)));
    }

    #[test]
    fn a_bundle_must_hold_certificates() {
        let mut set = KEYS.to_vec();
        set.push(("AWS_CA_BUNDLE", "/etc/ssl/own.pem"));
        assert!(aws(&set, ROOTS).is_ok());
        for invalid in [
            "",
            "hello",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(
                matches!(aws(&set, invalid), Err(AwsError::Tls(_))),
                "{invalid}"
            );
        }
    }
}
