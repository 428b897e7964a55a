//! Test data leaves this machine only on somebody's word.

use url::Url;

use super::Failure;
use crate::simulate::{clear, is_loopback};

/// Refuses what no test data can be sent to, and a receiver on another machine, unless whoever runs the command said yes to storing test
/// data there.
pub(super) fn agreed(url: &Url, yes: bool) -> Result<(), Failure> {
    clear(url).map_err(|error| Failure::Usage(error.to_string()))?;
    if yes || is_loopback(url) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "this stores test data in whatever receives at {}: give it a source and a destination of its own there \
         (docs/simulate.md), then add --yes-store-test-data",
        url.host_str().unwrap_or("that URL"),
    )))
}
