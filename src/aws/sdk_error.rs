//! Reduces the SDK's errors to a code.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// No AWS credentials were found.
pub const NO_CREDENTIALS: &str = "NoCredentials";
/// The call timed out.
pub const TIMEOUT: &str = "Timeout";
/// The connection could not be made, or was lost.
pub const NO_CONNECTION: &str = "NoConnection";
/// The response is not one of AWS.
pub const NO_ANSWER: &str = "NoAnswer";

/// The code of an error: that of AWS, or one of this module's if there is none.
///
/// The message is never used, because it may repeat the request.
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

/// Makes a code safe to show, because the response may not be from AWS.
pub fn tidy(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .take(64)
        .collect()
}

fn is_caused_by_credentials(error: &(dyn Error + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(is_caused_by_credentials)
}

/// Whether the code means that permission is missing.
pub fn is_denied(code: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException")
}

/// What to do about a code that has the same meaning for every service.
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
