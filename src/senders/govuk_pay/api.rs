//! The response of Pay's API: one payment in its current state.

use bytes::Bytes;

use crate::senders::{Pulled, SenderKind};

/// GOV.UK Pay's API; the key decides between test and live.
pub(super) const BASE_URL: &str = "https://publicapi.payments.service.gov.uk";

impl Pulled {
    /// The whole answer of GOV.UK Pay about one payment.
    pub(crate) fn payment(answer: Bytes) -> Self {
        Self::new(SenderKind::GOVUK_PAY, answer)
    }
}
