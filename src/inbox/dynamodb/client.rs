//! A client that gives up in time: the SDK's own defaults wait without end.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{
        self,
        retry::{RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
};
use aws_types::SdkConfig;

/// A handshake within a region takes a few milliseconds.
const CONNECT: Duration = Duration::from_millis(300);
/// A server that stored an item and then hung is found out after this long, and asked again.
const ATTEMPT: Duration = Duration::from_millis(600);
/// An answer is due 2.5 s after a request has come.
const OPERATION: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 4;
/// Three throttled attempts are over in about 0.1 s; with the SDK's default it would be two seconds.
const FIRST_BACKOFF: Duration = Duration::from_millis(30);

/// A client for requests that somebody waits for.
pub(super) fn new(sdk: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION);
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF);
    // The SDK's own quota of retries is given back by a 200 alone. A lost answer ends in a refused
    // condition, so a few dozen of them would end all retrying; and a sender repeats a 503 anyway.
    let quota = RetryPartition::custom("inbox")
        .token_bucket(TokenBucket::unlimited())
        .build();
    Client::from_conf(
        config::Builder::from(sdk)
            .timeout_config(timeouts.build())
            .retry_config(retries)
            .retry_partition(quota)
            .build(),
    )
}

/// For what nobody waits for: the warm-up of a function, and pages of a whole table.
///
/// Connecting may take as long as ever: the SDK keeps its connections apart by that limit, and one that
/// is opened under another would be of no use to the first notification.
pub(super) fn patient() -> config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(8));
    config::Builder::new().timeout_config(timeouts.build())
}
