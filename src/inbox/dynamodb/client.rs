//! A client with timeouts: by default the SDK waits for ever.

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
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// After this time the request is sent again: the server may have stored the item and then hung.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(600);
/// The receiver must reply within 2.5 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ATTEMPTS: u32 = 4;
/// Three throttled attempts take about 0.1 s; with the SDK's default they would take two seconds.
const FIRST_BACKOFF: Duration = Duration::from_millis(30);

/// A client for requests that a sender waits for.
pub(super) fn new(sdk: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT);
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF);
    // The SDK refills its retry quota only after a 200. A lost reply ends in a failed condition, so
    // a few dozen of them would stop all retries. Senders repeat a request after a 503 anyway.
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

/// Longer timeouts for requests that no sender waits for: the warm-up, and pages of a scan.
///
/// The connect timeout stays the same: the SDK pools connections by it, and the first notification
/// could not use a connection that was opened under another.
pub(super) fn long_timeouts() -> config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(8));
    config::Builder::new().timeout_config(timeouts.build())
}
