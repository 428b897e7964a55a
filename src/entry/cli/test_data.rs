//! Where test data may be sent: to this machine, and elsewhere only to those who have agreed to keep it.

use url::Url;

use super::Failure;
use crate::simulate::is_loopback;

/// Agrees to send test data to `url`, if that is on this machine or `yes` was said on the command line.
pub(super) fn agreed(url: &Url, yes: bool) -> Result<(), Failure> {
    if yes || is_loopback(url) {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    Err(Failure::Usage(format!(
        "this stores test data at {host}, which is not this machine: if it can do no harm there, say \
         --yes-store-test-data"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_data_leaves_this_machine_only_with_a_yes() {
        for (url, yes, expected) in [
            ("http://localhost:8080/pay", false, true),
            ("https://127.0.0.1/pay", false, true),
            ("http://[::1]/pay", false, true),
            ("https://receiver.example.gov.uk/pay", false, false),
            ("https://localhost.example.gov.uk/pay", false, false),
            ("https://receiver.example.gov.uk/pay", true, true),
        ] {
            assert_eq!(agreed(&Url::parse(url).unwrap(), yes).is_ok(), expected, "{url}");
        }
    }
}
