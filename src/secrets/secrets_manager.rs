//! Fetches secrets from AWS Secrets Manager, with one call for each ARN, all concurrently.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_sdk_secretsmanager::{
    Client,
    config::Builder,
    error::SdkError,
    operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::task::JoinSet;

use super::{FetchedSecrets, Secret, SecretRef, SecretsManagerError};
use crate::aws::{
    AwsConfig, AwsLimits, AwsService,
    sdk_error::{self, ErrorClass},
};

/// The limits at the start: the first connection of a small function takes most of a second.
const AT_START: AwsLimits = AwsLimits {
    connect: Duration::from_secs(2),
    attempt: Duration::from_millis(2_500),
    operation: Duration::from_secs(4),
    attempts: 3,
    backoff: Duration::from_millis(50),
};
/// The limits in a request, which needs its answer within 2.5 s. The connect timeout is that of the
/// start, because clients with different ones do not share a connection; the attempt's timeout
/// covers connecting too.
const IN_A_REQUEST: AwsLimits = AwsLimits {
    connect: AT_START.connect,
    attempt: Duration::from_millis(500),
    operation: Duration::from_millis(800),
    attempts: 2,
    backoff: Duration::from_millis(30),
};

/// The caller that waits while secrets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsCaller {
    /// No request waits.
    Background,
    /// A request whose sender waits for its answer.
    Sender,
}

/// Reads secrets from Secrets Manager.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    aws: AwsConfig,
    /// Created by the first call, because most functions need no client and creating one takes
    /// time.
    client: Arc<OnceLock<Client>>,
}

impl SecretsManager {
    /// Secrets Manager, reached over `aws`.
    pub fn new(aws: &AwsConfig) -> Self {
        Self {
            aws: aws.clone(),
            client: Arc::default(),
        }
    }

    fn client(&self) -> &Client {
        self.client
            .get_or_init(|| Client::new(&self.aws.within(AwsService::SecretsManager, &AT_START)))
    }

    /// Reads every secret of `arns` once, within the caller's time limit. A secret that could not
    /// be read has the reason in its place.
    pub async fn read(&self, arns: &BTreeSet<String>, caller: SecretsCaller) -> FetchedSecrets {
        let mut reading = JoinSet::new();
        let mut vault = FetchedSecrets::default();
        for arn in arns {
            vault.put(arn.clone(), Err(SecretsManagerError::Unavailable));
            let (client, arn) = (self.client().clone(), arn.clone());
            reading.spawn(async move { (read(&client, &arn, caller).await, arn) });
        }
        while let Some(done) = reading.join_next().await {
            if let Ok((read, arn)) = done {
                vault.put(arn, read);
            }
        }
        vault
    }
}

/// The ARNs among `references`, each once.
pub fn arns<'a>(references: impl IntoIterator<Item = &'a SecretRef>) -> BTreeSet<String> {
    references
        .into_iter()
        .filter_map(SecretRef::arn)
        .map(str::to_owned)
        .collect()
}

async fn read(
    client: &Client,
    arn: &str,
    caller: SecretsCaller,
) -> Result<Option<Secret>, SecretsManagerError> {
    let limits = match caller {
        SecretsCaller::Background => AT_START,
        SecretsCaller::Sender => IN_A_REQUEST,
    };
    let limited = Builder::new()
        .timeout_config(limits.timeouts())
        .retry_config(limits.retries());
    let response = client
        .get_secret_value()
        .secret_id(arn)
        .customize()
        .config_override(limited)
        .send()
        .await;
    match response {
        // A response that does not name the secret is not about it.
        Ok(output) if !output.arn().is_some_and(|found| found.starts_with(arn)) => {
            Err(SecretsManagerError::Unavailable)
        }
        Ok(GetSecretValueOutput {
            secret_string: Some(text),
            ..
        }) => Ok(Some(Secret::new(text))),
        Ok(GetSecretValueOutput {
            secret_binary: Some(_),
            ..
        }) => Err(SecretsManagerError::Binary),
        Ok(_) => Ok(None),
        Err(error) => interpret(&error),
    }
}

/// The meaning of an error. A secret that was created without a value exists and has none yet.
fn interpret(error: &SdkError<GetSecretValueError>) -> Result<Option<Secret>, SecretsManagerError> {
    classify(&sdk_error::code(error), error.message().unwrap_or_default())
}

fn classify(code: &str, message: &str) -> Result<Option<Secret>, SecretsManagerError> {
    match code {
        "ResourceNotFoundException" if has_no_value(message) => Ok(None),
        // The second code is for a secret that is scheduled for deletion.
        "ResourceNotFoundException"
        | "InvalidRequestException"
        | "InvalidParameterException"
        | "ValidationException" => Err(SecretsManagerError::Missing),
        "DecryptionFailure" | "EncryptionFailure" => Err(SecretsManagerError::Key),
        code if sdk_error::is_denied(code) => Err(SecretsManagerError::Denied),
        other => Err(match sdk_error::classify_common(other).0 {
            ErrorClass::Configuration => SecretsManagerError::NoCredentials,
            ErrorClass::Transient | ErrorClass::Refusal => SecretsManagerError::Unavailable,
        }),
    }
}

/// Only the message distinguishes a secret without a value from a missing one; both have one code.
fn has_no_value(message: &str) -> bool {
    message.contains("secret value for staging label")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_error_is_classified_and_only_one_means_that_there_is_no_value() {
        use SecretsManagerError::{Denied, Key, Missing, NoCredentials, Unavailable};
        let no_value = "Secrets Manager can't find the specified secret value for staging label: \
                        AWSCURRENT";
        let read = classify("ResourceNotFoundException", no_value);
        assert!(matches!(read, Ok(None)), "{read:?}");
        for (code, error) in [
            ("ResourceNotFoundException", Missing),
            ("InvalidRequestException", Missing),
            ("InvalidParameterException", Missing),
            ("ValidationException", Missing),
            ("DecryptionFailure", Key),
            ("EncryptionFailure", Key),
            ("AccessDeniedException", Denied),
            ("AccessDenied", Denied),
            ("ExpiredTokenException", NoCredentials),
            ("IncompleteSignature", NoCredentials),
            ("InvalidClientTokenId", NoCredentials),
            ("InvalidSignatureException", NoCredentials),
            ("UnrecognizedClientException", NoCredentials),
            (sdk_error::NO_CREDENTIALS, NoCredentials),
            ("InternalServiceError", Unavailable),
            ("InternalServiceErrorException", Unavailable),
            ("ThrottlingException", Unavailable),
            ("ServiceUnavailable", Unavailable),
            ("SomethingNew", Unavailable),
            (sdk_error::NO_ANSWER, Unavailable),
            (sdk_error::TIMEOUT, Unavailable),
        ] {
            let read = classify(code, "");
            assert!(
                matches!(read, Err(found) if found == error),
                "{code}: {read:?}"
            );
        }
    }
}
