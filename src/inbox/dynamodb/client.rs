//! A client with timeouts. By default the SDK waits forever.

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
/// After this time the request is sent again. The server may have stored the item and then stalled.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(600);
/// The receiver must reply within 2.5 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ATTEMPTS: u32 = 4;
/// With this, three throttled attempts take about 0.1 s. With the SDK's default they take 2 s.
const FIRST_BACKOFF: Duration = Duration::from_millis(30);

/// A client for requests during which a sender waits.
pub(super) fn new(sdk: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT);
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF);
    // The SDK refills its retry quota only after a 200. A request whose reply was lost ends with a
    // failed condition, so a few dozen of them would stop all retries. Senders repeat a request
    // after a 503 anyway.
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

/// Longer timeouts for requests during which no sender waits: the warm-up, and pages of a scan.
///
/// The connect timeout is the same, because the SDK keeps a connection pool for each connect
/// timeout, and the first notification must find the connection that the warm-up opened.
pub(super) fn long_timeouts() -> config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(8));
    config::Builder::new().timeout_config(timeouts.build())
}
