//! The timeouts and retries of calls to AWS. Every client has them.

use std::time::Duration;

use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::SdkConfig;

use super::{AwsConfig, AwsService};

/// The limits of one client. The SDK's defaults are longer than a sender waits, or unlimited.
#[derive(Clone, Copy, Debug)]
pub struct AwsLimits {
    /// The timeout for connecting. Clients share connections only if they have the same value.
    pub connect: Duration,
    /// The timeout of one attempt.
    pub attempt: Duration,
    /// The timeout of all attempts and the pauses between them.
    pub operation: Duration,
    /// The maximum number of attempts.
    pub attempts: u32,
    /// The longest pause after the first attempt. Each later attempt doubles it.
    pub backoff: Duration,
}

impl AwsLimits {
    /// For deliveries: far below the timeout of the Lambda function.
    pub const DELIVERY: Self = Self {
        connect: Duration::from_secs(1),
        attempt: Duration::from_secs(3),
        operation: Duration::from_secs(10),
        attempts: 3,
        backoff: Duration::from_millis(100),
    };

    /// The timeouts in the SDK's form.
    pub(crate) fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }

    /// The retries in the SDK's form.
    pub(crate) fn retries(&self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(self.backoff)
    }
}

impl AwsConfig {
    /// The configuration of a client of `service` with `limits`.
    pub fn within(&self, service: AwsService, limits: &AwsLimits) -> SdkConfig {
        self.config(service)
            .to_builder()
            .timeout_config(limits.timeouts())
            .retry_config(limits.retries())
            .build()
    }
}
