//! Converts errors of the SDK to [`InboxError`], with advice.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::{DynamoInbox, names::INDEX};
use crate::inbox::InboxError;

/// The codes of DynamoDB are shorter.
const MAX_CODE_BYTES: usize = 64;

impl DynamoInbox {
    /// The error of a failed `operation`. Does not contain the service's message, which may quote
    /// an item.
    pub(super) fn failed<E: ProvideErrorMetadata, R>(
        &self,
        operation: &str,
        error: &SdkError<E, R>,
    ) -> InboxError {
        InboxError::Unavailable(describe(operation, &self.settings.table, error))
    }
}

/// Whether a retry cannot succeed until a person corrects the configuration.
pub(super) fn is_permanent<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code().is_some_and(|code| {
        matches!(
            code,
            "ResourceNotFoundException"
                | "AccessDeniedException"
                | "AccessDenied"
                | "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "IncompleteSignatureException"
                | "MissingAuthenticationTokenException"
                | "ExpiredTokenException"
                | "ValidationException"
        )
    })
}

pub(super) fn describe<E: ProvideErrorMetadata, R>(
    operation: &str,
    table: &str,
    error: &SdkError<E, R>,
) -> String {
    match error {
        SdkError::ServiceError(error) => service_error(operation, table, error.err()),
        SdkError::TimeoutError(_) => format!("table {table}: {operation} timed out"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            format!("table {table}: the connection to DynamoDB timed out")
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => {
            format!(
                "table {table}: DynamoDB cannot be reached: check the network, AWS_REGION and \
                 AWS_ENDPOINT_URL"
            )
        }
        SdkError::DispatchFailure(_) => {
            format!(
                "table {table}: {operation} could not be sent, or something other than DynamoDB \
                 answered: check the credentials, AWS_ENDPOINT_URL, any proxy and AWS_CA_BUNDLE"
            )
        }
        SdkError::ResponseError(_) => {
            format!("table {table}: the reply to {operation} was cut off")
        }
        _ => format!("table {table}: {operation} failed: check the region and the credentials"),
    }
}

/// The code, if it consists of letters as DynamoDB's codes do. Another server may answer, and
/// return part of the request instead of a code.
fn code(error: &impl ProvideErrorMetadata) -> Option<&str> {
    let is_code = |code: &&str| {
        (1..=MAX_CODE_BYTES).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    error.code().filter(is_code)
}

fn service_error(operation: &str, table: &str, error: &impl ProvideErrorMetadata) -> String {
    let code = code(error).unwrap_or("an unnamed error");
    let message = error.message().unwrap_or_default();
    let advice = match code {
        "ResourceNotFoundException" => {
            "there is no such table here: check its name, the region and the account, or create \
             it with `pillarbox inbox init`"
        }
        "AccessDeniedException" | "AccessDenied" => {
            "permission is missing: grant it to the role that runs this"
        }
        "InvalidSignatureException"
            if message.contains("Signature expired")
                || message.contains("Signature not yet current") =>
        {
            "this machine's clock is wrong by minutes: correct it, and keep it right with NTP"
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "ExpiredTokenException" => "the credentials are not accepted: renew them",
        "ValidationException" if message.contains("index") => {
            return format!(
                "table {table}: {operation}: it has no index `{INDEX}`: deploy the template's \
                 table, or see `pillarbox doctor`"
            );
        }
        "ValidationException" => "the request does not match the table: see `pillarbox doctor`",
        "ThrottlingException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded" => "it is throttled",
        "ItemCollectionSizeLimitExceededException" => "the table is full: see `pillarbox doctor`",
        "TransactionConflictException" | "ReplicatedWriteConflictException" => {
            "another request changes the same item"
        }
        _ => "the service failed",
    };
    format!("table {table}: {operation}: {code}: {advice}")
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{error::ErrorMetadata, operation::put_item::PutItemError};

    use super::*;

    fn description(code: &str, message: &str) -> String {
        let error =
            PutItemError::generic(ErrorMetadata::builder().code(code).message(message).build());
        describe("PutItem", "inbox", &SdkError::service_error(error, ()))
    }

    #[test]
    fn an_error_has_advice_that_depends_on_its_code_and_message() {
        let no_table = "there is no such table here";
        let grant = "permission is missing: grant it";
        let throttled = "it is throttled";
        let full = "the table is full";
        let renew = "the credentials are not accepted: renew them";
        let expired = "Signature expired: 20260302T101531Z is now earlier than 20260302T102000Z";
        let too_early = "Signature not yet current: 20260302T103000Z";
        let clock = "clock is wrong by minutes";
        let index = "The table does not have the specified index: shelf";
        let invalid = "One or more parameter values were invalid";
        for (code, message, expected) in [
            ("ResourceNotFoundException", "", no_table),
            ("AccessDeniedException", "is not authorized", grant),
            ("AccessDenied", "", grant),
            ("ExpiredTokenException", "", renew),
            ("UnrecognizedClientException", "", renew),
            ("InvalidSignatureException", "", renew),
            ("InvalidSignatureException", expired, clock),
            ("InvalidSignatureException", too_early, clock),
            ("IncompleteSignatureException", "", renew),
            ("MissingAuthenticationTokenException", "", renew),
            ("ThrottlingException", "", throttled),
            ("ProvisionedThroughputExceededException", "", throttled),
            ("RequestLimitExceeded", "", throttled),
            ("ItemCollectionSizeLimitExceededException", "", full),
            ("TransactionConflictException", "", "the same item"),
            ("ReplicatedWriteConflictException", "", "the same item"),
            ("ServiceUnavailable", "", "the service failed"),
            ("SomethingNew", "", "the service failed"),
            ("InternalServerError", "", "the service failed"),
            ("ValidationException", index, "it has no index `shelf`"),
            ("ValidationException", invalid, "see `pillarbox doctor`"),
        ] {
            let text = description(code, message);
            assert!(
                text.starts_with("table inbox: PutItem: ") && text.contains(expected),
                "{code}: {text}"
            );
        }
    }

    #[test]
    fn a_code_is_shown_only_if_it_consists_of_letters() {
        let long = "a".repeat(65);
        let token = "FwoGZXIvYXdzE0canary";
        for code in ["", token, "pay:canary", "two words\n", &long] {
            let text = description(code, "");
            let expected = "table inbox: PutItem: an unnamed error: the service failed";
            assert_eq!(text, expected, "{code}");
        }
    }

    #[test]
    fn the_message_of_the_service_is_not_shown() {
        let quoted = "The provided key pay:canary with body canary is invalid";
        for code in [
            "ValidationException",
            "AccessDeniedException",
            "SomethingNew",
        ] {
            assert!(!description(code, quoted).contains("canary"), "{code}");
        }
    }
}
