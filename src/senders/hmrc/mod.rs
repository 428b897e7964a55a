//! HMRC's Push Pull Notifications Service.
//!
//! Facts are from hmrc/push-pull-notifications-api and the libraries it pins.

mod api;
mod config;
mod envelope;
mod retries;
mod signature;

use std::time::Duration;

use super::SenderProtocol;

pub(super) static PROTOCOL: SenderProtocol = SenderProtocol {
    name: "hmrc",
    title: "HMRC",
    content_type: "application/json",
    signature: signature::SCHEME,
    envelope: envelope::FORMAT,
    config: config::CONFIG,
    answer_limit: Some(Duration::from_secs(20)),
    retries: retries::SCHEDULE,
    sends_challenges: true,
};
