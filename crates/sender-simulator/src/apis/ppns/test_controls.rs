//! State that only tests read or change.

use std::time::Duration;

use super::{BoxNotification, BoxNotificationStatus, PpnsBoxes, PpnsEndpoint, acknowledge};
use crate::{
    apis::{ApiCall, ApiServer, CallLog},
    hmrc::HmrcMessage,
};

/// A defect of a list's element. HMRC sends none of these; a client must still read the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListDefect {
    /// The id is missing.
    NoId,
    /// The date is invalid.
    BrokenDate,
    /// The message is an object instead of a string.
    MessageNotText,
}

impl ListDefect {
    pub(super) fn apply(self, fields: &mut Vec<(&'static str, String)>) {
        let (name, json) = match self {
            Self::NoId => return fields.retain(|(name, _)| *name != "notificationId"),
            Self::BrokenDate => ("createdDateTime", r#""yesterday""#),
            Self::MessageNotText => ("message", r#"{"key":"value"}"#),
        };
        for (_, value) in fields.iter_mut().filter(|(known, _)| *known == name) {
            json.clone_into(value);
        }
    }
}

impl BoxNotification {
    /// The same notification with a defect in lists.
    #[must_use]
    pub fn with_defect(self, defect: ListDefect) -> Self {
        Self {
            defect: Some(defect),
            ..self
        }
    }
}

impl ApiServer<PpnsBoxes> {
    /// Adds a new pending notification to a box, and returns its id.
    pub fn post(&self, box_id: &str, message: HmrcMessage) -> String {
        let notification = BoxNotification::new(box_id, message, &*self.shared.clock);
        let id = notification.id.clone();
        self.with(|boxes| boxes.add(notification));
        id
    }

    /// The shortest time between two list calls for one box, with any parameters.
    pub fn smallest_gap_between_lists(&self, box_id: &str) -> Option<Duration> {
        let path = format!("/box/{box_id}/notifications");
        let lists = self.calls().to(PpnsEndpoint::List);
        lists
            .filtered(|call| call.target.contains(&path))
            .smallest_gap()
    }
}

impl ApiCall<PpnsEndpoint> {
    /// The ids that this call acknowledged, whether or not the client received the response.
    pub fn acknowledged(&self) -> Vec<String> {
        let endpoint = PpnsEndpoint::Acknowledge;
        if self.endpoint == Some(endpoint) && self.decided() == Some(204) {
            acknowledge::ids(&self.body).unwrap_or_default()
        } else {
            Vec::new()
        }
    }
}

impl CallLog<PpnsEndpoint> {
    /// The ids that all calls acknowledged, repeats included.
    pub fn acknowledged(&self) -> Vec<String> {
        self.iter().flat_map(ApiCall::acknowledged).collect()
    }
}

impl PpnsBoxes {
    /// Revokes every token: the next call with one is refused as if it had expired.
    pub fn revoke_tokens(&mut self) {
        self.tokens.granted.clear();
    }

    /// Sets the limit on calls per second, which is [`super::MAX_CALLS_PER_SECOND`] at first.
    pub fn set_rate_limit(&mut self, max_per_second: usize) {
        self.rate_limiter.max_per_second = max_per_second;
    }

    /// The status of a notification; `None` for an unknown id.
    pub fn status(&self, id: &str) -> Option<BoxNotificationStatus> {
        self.positions
            .get(id)
            .map(|position| self.notifications[*position].status)
    }

    /// Every notification, in the order added.
    pub fn notifications(&self) -> &[BoxNotification] {
        &self.notifications
    }
}
