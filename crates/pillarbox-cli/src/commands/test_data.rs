//! Checks where test data is sent: always to this machine, and to another only if the user agrees.

use url::Url;

use super::{CommandError, ErrorCode};
use sender_simulator::{check_target, is_loopback};

/// Refuses a URL that must not receive test data, and a receiver on another machine without the
/// user's agreement to store test data there.
pub(super) fn check_agreement(url: &Url, yes: bool) -> Result<(), CommandError> {
    check_target(url).map_err(|error| ErrorCode::TestData.error(error))?;
    if yes || is_loopback(url) {
        return Ok(());
    }
    Err(ErrorCode::TestData.error(format!(
        "this stores test data in the receiver at {}: create a separate source and destination \
         there (docs/simulate.md), then add --yes-store-test-data",
        url.host_str().unwrap_or("that URL"),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_data_is_sent_to_another_machine_only_with_agreement() {
        for (url, yes, expected) in [
            ("http://localhost:8080/pay", false, true),
            ("https://127.0.0.1/pay", false, true),
            ("http://[::1]/pay", false, true),
            ("https://receiver.example.gov.uk/pay", false, false),
            ("https://localhost.example.gov.uk/pay", false, false),
            ("https://receiver.example.gov.uk/pay", true, true),
            ("http://receiver.example.gov.uk/pay", true, false),
            ("https://a:b@localhost/pay", true, false),
        ] {
            assert_eq!(
                check_agreement(&Url::parse(url).unwrap(), yes).is_ok(),
                expected,
                "{url}"
            );
        }
    }
}
