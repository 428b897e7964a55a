//! A notification as PPNS stores and lists it.

use crate::{
    Clock, MessageBody, Timestamp,
    hmrc::{self, HmrcMessage},
    ids, json,
};

/// The status of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BoxNotificationStatus {
    /// Not received yet.
    Pending,
    /// A push was answered 200, or a client acknowledged it.
    Acknowledged,
    /// All pushes failed, and no more will follow.
    Failed,
}

impl BoxNotificationStatus {
    /// All statuses.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Acknowledged, Self::Failed];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::Failed => "FAILED",
        }
    }

    /// Parses a name in any letter case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text))
    }
}

/// A notification in a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxNotification {
    /// A UUID.
    pub id: String,
    /// The id of its box.
    pub box_id: String,
    /// The producer's message.
    pub message: HmrcMessage,
    /// The creation date.
    pub created: Timestamp,
    /// Its status.
    pub status: BoxNotificationStatus,
    /// Its defect in lists.
    #[cfg(any(test, feature = "test-apis"))]
    pub defect: Option<super::ListDefect>,
}

impl BoxNotification {
    /// A new pending notification with a new id.
    pub fn new(box_id: &str, message: HmrcMessage, clock: &dyn Clock) -> Self {
        Self {
            id: ids::uuid(clock),
            box_id: box_id.to_owned(),
            message,
            created: clock.now(),
            status: BoxNotificationStatus::Pending,
            #[cfg(any(test, feature = "test-apis"))]
            defect: None,
        }
    }

    /// The same notification with this status.
    #[must_use]
    pub fn with_status(self, status: BoxNotificationStatus) -> Self {
        Self { status, ..self }
    }

    /// The same notification with this creation date.
    #[must_use]
    pub fn created(self, created: Timestamp) -> Self {
        Self { created, ..self }
    }

    /// The body of its push.
    pub fn body(&self) -> MessageBody {
        hmrc::envelope(&self.id, &self.message, &self.box_id, self.created)
    }

    /// Its element in a list: the fields of a push with the current status.
    pub(super) fn element(&self) -> String {
        let status = self.status.as_str();
        #[cfg_attr(
            not(any(test, feature = "test-apis")),
            expect(unused_mut, reason = "no defect")
        )]
        let mut fields = hmrc::fields(&self.id, &self.message, &self.box_id, status, self.created);
        #[cfg(any(test, feature = "test-apis"))]
        if let Some(defect) = self.defect {
            defect.apply(&mut fields);
        }
        json::escape_astral(&json::object(&fields))
    }
}
