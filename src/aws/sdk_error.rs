//! Reduces the SDK's errors to a code.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::NotAwsError;

/// No AWS credentials were found.
pub const NO_CREDENTIALS: &str = "NoCredentials";
/// The call timed out.
pub const TIMEOUT: &str = "Timeout";
/// The connection could not be made, or was lost.
pub const NO_CONNECTION: &str = "NoConnection";
/// The response is not from AWS.
pub const NO_ANSWER: &str = "NoAnswer";

/// The code of an error: AWS's code, or one of this module's if there is none.
///
/// The message is never used, because it may repeat the request.
pub fn code<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(_) => error
            .code()
            .map_or_else(|| NO_ANSWER.to_owned(), displayable_code),
        SdkError::TimeoutError(_) => TIMEOUT.to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => TIMEOUT.to_owned(),
        _ if is_caused_by::<CredentialsError>(error) => NO_CREDENTIALS.to_owned(),
        _ if is_caused_by::<NotAwsError>(error) => NO_ANSWER.to_owned(),
        SdkError::DispatchFailure(_) => NO_CONNECTION.to_owned(),
        _ => NO_ANSWER.to_owned(),
    }
}

/// Makes a code safe to show, because the response may not be from AWS.
pub fn displayable_code(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .take(64)
        .collect()
}

/// Whether the error, or an error that caused it, is of the type `E`.
pub(super) fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(is_caused_by::<E>)
}

/// Whether a retry of a failed call can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// A retry may succeed.
    Transient,
    /// Every call fails until an operator corrects the configuration.
    Configuration,
    /// The event is refused, and every retry would be refused too.
    Refusal,
}

/// Whether the code means that permission is missing.
pub fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized"
    )
}

/// The class of a code that has the same meaning at every service, and what to do. None of these
/// codes is about a single event. An unknown code counts as transient.
pub fn classify_common(code: &str) -> (ErrorClass, &'static str) {
    match code {
        NO_CREDENTIALS
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => (
            ErrorClass::Configuration,
            "check the AWS credentials, and this machine's clock",
        ),
        "OptInRequired" => (
            ErrorClass::Configuration,
            "enable this service and region for the account",
        ),
        "InvalidAction"
        | "InvalidParameterCombination"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "InvalidQueryParameter"
        | "MalformedHttpRequestException"
        | "MalformedQueryString"
        | "MissingAction"
        | "MissingParameter"
        | "SerializationException"
        | "UnknownOperationException"
        | "UnsupportedOperation"
        | "ValidationError"
        | "ValidationException" => (
            ErrorClass::Configuration,
            "check its configuration, and any AWS_ENDPOINT_URL; it is tried again",
        ),
        TIMEOUT | NO_CONNECTION => (
            ErrorClass::Transient,
            "check the network, and any AWS_ENDPOINT_URL; it is tried again",
        ),
        NO_ANSWER => (
            ErrorClass::Transient,
            "the answer is not AWS's: check any AWS_ENDPOINT_URL and proxy; it is tried again",
        ),
        _ => (ErrorClass::Transient, "it is tried again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_common_to_all_services_is_about_one_event() {
        use ErrorClass::{Configuration, Transient};
        for (code, class, advice) in [
            (NO_CREDENTIALS, Configuration, "credentials"),
            ("ExpiredToken", Configuration, "credentials"),
            ("ExpiredTokenException", Configuration, "credentials"),
            ("IncompleteSignature", Configuration, "credentials"),
            ("InvalidClientTokenId", Configuration, "credentials"),
            ("InvalidSignatureException", Configuration, "credentials"),
            ("MissingAuthenticationToken", Configuration, "credentials"),
            ("RequestExpired", Configuration, "clock"),
            ("SignatureDoesNotMatch", Configuration, "credentials"),
            ("UnrecognizedClientException", Configuration, "credentials"),
            ("OptInRequired", Configuration, "enable"),
            ("InvalidAction", Configuration, "configuration"),
            (
                "InvalidParameterCombination",
                Configuration,
                "configuration",
            ),
            ("InvalidParameterValue", Configuration, "configuration"),
            (
                "MalformedHttpRequestException",
                Configuration,
                "configuration",
            ),
            ("MalformedQueryString", Configuration, "configuration"),
            ("MissingParameter", Configuration, "configuration"),
            ("SerializationException", Configuration, "configuration"),
            ("UnknownOperationException", Configuration, "configuration"),
            ("ValidationError", Configuration, "configuration"),
            ("ValidationException", Configuration, "configuration"),
            (TIMEOUT, Transient, "network"),
            (NO_CONNECTION, Transient, "network"),
            (NO_ANSWER, Transient, "proxy"),
            ("InternalFailure", Transient, "tried again"),
            ("RequestAbortedException", Transient, "tried again"),
            ("RequestEntityTooLargeException", Transient, "tried again"),
            ("RequestTimeoutException", Transient, "tried again"),
            ("ServiceUnavailable", Transient, "tried again"),
            ("ThrottlingException", Transient, "tried again"),
            ("SomethingNew", Transient, "tried again"),
        ] {
            let (found, text) = classify_common(code);
            assert!(found == class && text.contains(advice), "{code}: {text}");
        }
    }
}
