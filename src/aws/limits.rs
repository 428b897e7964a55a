//! How long a call may take, and how often it is tried. No client is made without.

use std::time::Duration;

use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::SdkConfig;

use super::{Aws, AwsService};

/// The limits of one client. The SDK's own are too long for a sender that waits, or none at all.
#[derive(Clone, Copy, Debug)]
pub struct AwsLimits {
    /// Until there is a connection. Clients that differ in this share no connections.
    pub connect: Duration,
    /// For one try.
    pub attempt: Duration,
    /// For all of them, pauses included.
    pub operation: Duration,
    /// How many there are.
    pub attempts: u32,
    /// The longest pause after the first; each later one doubles it.
    pub backoff: Duration,
}

impl AwsLimits {
    /// For handing events on: far within one attempt of the processor's.
    pub const DELIVERY: Self = Self {
        connect: Duration::from_secs(1),
        attempt: Duration::from_secs(3),
        operation: Duration::from_secs(10),
        attempts: 3,
        backoff: Duration::from_millis(100),
    };

    /// The time limits as the SDK takes them.
    pub(crate) fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }

    /// The tries as the SDK takes them.
    pub(crate) fn retries(&self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(self.backoff)
    }
}

impl Aws {
    /// What a client of `service` is made from that keeps to `limits`.
    pub fn within(&self, service: AwsService, limits: &AwsLimits) -> SdkConfig {
        self.config(service)
            .to_builder()
            .timeout_config(limits.timeouts())
            .retry_config(limits.retries())
            .build()
    }
}
