//! A sender for tests only. It differs from the others wherever senders can differ: it signs the
//! time, its header has parts, and it has neither a challenge nor an API.

mod config;
mod envelope;
mod signature;
#[cfg(test)]
mod tests;

use super::{RetrySchedule, SenderProtocol};

pub(super) static PROTOCOL: SenderProtocol = SenderProtocol {
    name: "timestamped",
    title: "the timestamped sender",
    content_type: "application/json",
    signature: signature::SCHEME,
    envelope: envelope::FORMAT,
    config: config::CONFIG,
    answer_limit: None,
    retries: RetrySchedule::After(&[]),
    sends_challenges: false,
};
