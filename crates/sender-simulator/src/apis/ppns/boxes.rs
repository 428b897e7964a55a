//! The state of PPNS: applications, boxes, and their notifications.

use std::{collections::HashMap, time::Duration};

use super::{
    super::rate_limiter::ApiRateLimiter, BoxNotification, BoxNotificationStatus,
    MAX_CALLS_PER_SECOND, PpnsApplication, PpnsError, token::TokenStore,
};
use crate::Timestamp;

/// How long a notification of any status can be read.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The state of PPNS.
pub struct PpnsBoxes {
    pub(super) tokens: TokenStore,
    pub(super) rate_limiter: ApiRateLimiter,
    /// Box id to the client id of its owner.
    owners: HashMap<String, String>,
    pub(super) notifications: Vec<BoxNotification>,
    /// Notification id to its position.
    pub(super) positions: HashMap<String, usize>,
}

/// The number of notifications in each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// Not received yet.
    pub pending: usize,
    /// Received.
    pub acknowledged: usize,
    /// No longer pushed.
    pub failed: usize,
}

impl Default for PpnsBoxes {
    fn default() -> Self {
        Self::new()
    }
}

impl PpnsBoxes {
    /// No applications and no boxes.
    pub fn new() -> Self {
        Self {
            tokens: TokenStore::default(),
            rate_limiter: ApiRateLimiter::new(MAX_CALLS_PER_SECOND),
            owners: HashMap::new(),
            notifications: Vec::new(),
            positions: HashMap::new(),
        }
    }

    /// Adds or replaces an application.
    pub fn register(&mut self, application: PpnsApplication) {
        self.tokens.register(application);
    }

    /// Opens a box that belongs to a client id. Ids are in lower case.
    pub fn open(&mut self, box_id: &str, client_id: &str) {
        self.owners.insert(box_id.to_owned(), client_id.to_owned());
    }

    /// Adds a notification to its box, or replaces the one with the same id.
    pub fn add(&mut self, notification: BoxNotification) {
        match self.positions.get(&notification.id) {
            Some(position) => self.notifications[*position] = notification,
            None => {
                self.positions
                    .insert(notification.id.clone(), self.notifications.len());
                self.notifications.push(notification);
            }
        }
    }

    /// Sets the status of a notification, as a push does. An unknown id is ignored.
    pub fn set_status(&mut self, id: &str, status: BoxNotificationStatus) {
        if let Some(position) = self.positions.get(id) {
            self.notifications[*position].status = status;
        }
    }

    /// The number of notifications in each status.
    pub fn count_by_status(&self) -> StatusCounts {
        let mut counts = StatusCounts::default();
        for notification in &self.notifications {
            match notification.status {
                BoxNotificationStatus::Pending => counts.pending += 1,
                BoxNotificationStatus::Acknowledged => counts.acknowledged += 1,
                BoxNotificationStatus::Failed => counts.failed += 1,
            }
        }
        counts
    }

    /// Checks that a box exists and belongs to the client.
    pub(super) fn check_owner(&self, box_id: &str, client_id: &str) -> Result<(), PpnsError> {
        match self.owners.get(box_id) {
            None => Err(PpnsError::NoBox),
            Some(owner) if owner != client_id => Err(PpnsError::Forbidden),
            Some(_) => Ok(()),
        }
    }

    /// The notifications of a box that are within retention.
    pub(super) fn retained<'a>(
        &'a self,
        box_id: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a BoxNotification> {
        self.notifications.iter().filter(move |notification| {
            notification.box_id == box_id && now.since(notification.created) <= RETENTION
        })
    }

    /// Acknowledges a notification of a box. Any other id is ignored.
    pub(super) fn acknowledge(&mut self, box_id: &str, id: &str) {
        let Some(position) = self.positions.get(id) else {
            return;
        };
        let notification = &mut self.notifications[*position];
        if notification.box_id == box_id {
            notification.status = BoxNotificationStatus::Acknowledged;
        }
    }
}
