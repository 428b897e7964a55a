//! What went wrong with a call to AWS, in one word.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// There are no credentials to sign with.
pub const NO_CREDENTIALS: &str = "NoCredentials";
/// No answer came in time.
pub const TIMEOUT: &str = "Timeout";
/// No connection could be made, or it broke.
pub const NO_CONNECTION: &str = "NoConnection";
/// What came back is no answer of AWS's.
pub const NO_ANSWER: &str = "NoAnswer";

/// What went wrong: AWS's own code, or one of ours where it said none.
///
/// Never the message, which may repeat what was sent.
pub fn code<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(_) => error.code().map_or_else(|| NO_ANSWER.to_owned(), tidy),
        SdkError::TimeoutError(_) => TIMEOUT.to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => TIMEOUT.to_owned(),
        _ if is_caused_by_credentials(error) => NO_CREDENTIALS.to_owned(),
        SdkError::DispatchFailure(_) => NO_CONNECTION.to_owned(),
        _ => NO_ANSWER.to_owned(),
    }
}

/// A code as it can be shown: whoever answered might have put anything there.
pub fn tidy(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .take(64)
        .collect()
}

fn is_caused_by_credentials(error: &(dyn Error + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(is_caused_by_credentials)
}

/// Whether a code says that we may not do this.
pub fn is_denied(code: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException")
}

/// What to do about a code that means the same everywhere.
pub fn advice(code: &str) -> &'static str {
    match code {
        NO_CREDENTIALS
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException" => "check the AWS credentials, and this machine's clock",
        TIMEOUT | NO_CONNECTION => "check the network, and any AWS_ENDPOINT_URL; it is tried again",
        _ => "it is tried again",
    }
}
