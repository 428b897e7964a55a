//! The response of HMRC's API: the list of the notifications of one box.

use bytes::Bytes;

use crate::senders::{Pulled, SenderKind};

/// The API of HMRC's sandbox.
pub(super) const SANDBOX: &str = "https://test-api.service.hmrc.gov.uk";
/// HMRC's API.
pub(super) const PRODUCTION: &str = "https://api.service.hmrc.gov.uk";

impl Pulled {
    /// One element of the list that HMRC returned: the bytes exactly as they stood in it.
    pub(crate) fn listed(element: Bytes) -> Self {
        Self::new(SenderKind::HMRC, element)
    }
}
