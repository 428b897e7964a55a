//! Secrets Manager: ARNs -> a [`FetchedSecrets`], one call each and all at once.

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

use super::{Aws, AwsLimits, AwsService, sdk_error};
use crate::secrets::{FetchedSecrets, Secret, SecretRef, SecretsManagerError};

/// While nobody waits: the first connection of a small function takes most of a second.
const AT_START: AwsLimits = AwsLimits {
    connect: Duration::from_secs(2),
    attempt: Duration::from_millis(2_500),
    operation: Duration::from_secs(4),
    attempts: 3,
    backoff: Duration::from_millis(50),
};
/// While a sender does, who is owed an answer within 2.5 s. The limit for connecting is that of the
/// start, or the connection made there would not be found again; the attempt's ends it, too.
const IN_A_REQUEST: AwsLimits = AwsLimits {
    connect: AT_START.connect,
    attempt: Duration::from_millis(500),
    operation: Duration::from_millis(800),
    attempts: 2,
    backoff: Duration::from_millis(30),
};

/// Who waits while secrets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsCaller {
    /// Nobody yet.
    Nobody,
    /// A sender, for an answer.
    Sender,
}

/// Reads secrets from Secrets Manager.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    aws: Aws,
    /// Made when something is read: most functions have nothing here, and a cold start would pay for it.
    client: Arc<OnceLock<Client>>,
}

impl SecretsManager {
    /// Secrets Manager as it is reached over `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            client: Arc::default(),
        }
    }

    fn client(&self) -> &Client {
        self.client
            .get_or_init(|| Client::new(&self.aws.within(AwsService::SecretsManager, &AT_START)))
    }

    /// Reads every secret of `arns` once. Always comes back in time; what could not be read says why.
    pub async fn read(&self, arns: &BTreeSet<String>, waiting: SecretsCaller) -> FetchedSecrets {
        let mut reading = JoinSet::new();
        let mut vault = FetchedSecrets::default();
        for arn in arns {
            vault.put(arn.clone(), Err(SecretsManagerError::Away));
            let (client, arn) = (self.client().clone(), arn.clone());
            reading.spawn(async move { (read(&client, &arn, waiting).await, arn) });
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
    waiting: SecretsCaller,
) -> Result<Option<Secret>, SecretsManagerError> {
    let limits = match waiting {
        SecretsCaller::Nobody => AT_START,
        SecretsCaller::Sender => IN_A_REQUEST,
    };
    let limited = Builder::new()
        .timeout_config(limits.timeouts())
        .retry_config(limits.retries());
    let asked = client
        .get_secret_value()
        .secret_id(arn)
        .customize()
        .config_override(limited)
        .send()
        .await;
    match asked {
        Ok(GetSecretValueOutput {
            secret_string: Some(text),
            ..
        }) => Ok(Some(Secret::new(text))),
        Ok(GetSecretValueOutput {
            secret_binary: Some(_),
            ..
        }) => Err(SecretsManagerError::Binary),
        Ok(_) => Ok(None),
        Err(error) => judge(&error),
    }
}

/// What an error says of the secret. One that was made without a value is there, and has none yet.
fn judge(error: &SdkError<GetSecretValueError>) -> Result<Option<Secret>, SecretsManagerError> {
    let code = sdk_error::code(error);
    match &*code {
        "ResourceNotFoundException" if has_no_value(error) => Ok(None),
        // The second is what a secret gets that waits for its deletion.
        "ResourceNotFoundException" | "InvalidRequestException" => {
            Err(SecretsManagerError::Missing)
        }
        "DecryptionFailure" => Err(SecretsManagerError::Key),
        sdk_error::NO_CREDENTIALS => Err(SecretsManagerError::NoCredentials),
        code if sdk_error::is_denied(code) => Err(SecretsManagerError::Denied),
        "UnrecognizedClientException" | "InvalidClientTokenId" | "ExpiredTokenException" => {
            Err(SecretsManagerError::NoCredentials)
        }
        _ => Err(SecretsManagerError::Away),
    }
}

/// Only its message tells a secret without a value from no secret at all; both have the same code.
fn has_no_value(error: &SdkError<GetSecretValueError>) -> bool {
    error
        .message()
        .is_some_and(|message| message.contains("secret value for staging label"))
}
