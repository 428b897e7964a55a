//! What PPNS holds: applications, boxes, and what lies in them.

use std::{collections::HashMap, time::Duration};

use super::{
    super::rate::Rate, Application, CALLS_A_SECOND, Notification, Problem, Status, token::Tokens,
};
use crate::Timestamp;

/// How long a notification can be had, whatever its status.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Everything that PPNS knows.
pub struct Boxes {
    pub(super) tokens: Tokens,
    pub(super) rate: Rate,
    /// Box id to the client id it belongs to.
    owners: HashMap<String, String>,
    notifications: Vec<Notification>,
    /// Notification id to its place.
    places: HashMap<String, usize>,
}

/// How many notifications there are in each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not yet received by anyone.
    pub pending: usize,
    /// Received, and done with.
    pub acknowledged: usize,
    /// Given up by push.
    pub failed: usize,
}

impl Boxes {
    pub(super) fn new() -> Self {
        Self {
            tokens: Tokens::default(),
            rate: Rate::new(CALLS_A_SECOND),
            owners: HashMap::new(),
            notifications: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Makes an application known, or changes one.
    pub fn register(&mut self, application: Application) {
        self.tokens.register(application);
    }

    /// Opens a box that belongs to a client id. Ids are in lower case.
    pub fn open(&mut self, box_id: &str, client_id: &str) {
        self.owners.insert(box_id.to_owned(), client_id.to_owned());
    }

    /// Takes every token back: the next call with one is refused as if it had expired.
    pub fn revoke_tokens(&mut self) {
        self.tokens.revoke_all();
    }

    /// How many calls a second an application may make, [`CALLS_A_SECOND`] at first.
    pub fn set_rate(&mut self, calls_a_second: usize) {
        self.rate.set(calls_a_second);
    }

    /// Puts a notification into its box, in the place of one with the same id.
    pub fn add(&mut self, notification: Notification) {
        match self.places.get(&notification.id) {
            Some(place) => self.notifications[*place] = notification,
            None => {
                self.places
                    .insert(notification.id.clone(), self.notifications.len());
                self.notifications.push(notification);
            }
        }
    }

    /// Moves a notification on, or back: what a push, or giving up pushes, does. An unknown id is passed over.
    pub fn set_status(&mut self, id: &str, status: Status) {
        if let Some(place) = self.places.get(id) {
            self.notifications[*place].status = status;
        }
    }

    /// How far a notification has come; `None` for an unknown id.
    pub fn status(&self, id: &str) -> Option<Status> {
        self.places
            .get(id)
            .map(|place| self.notifications[*place].status)
    }

    /// Every notification ever added, in that order.
    pub fn notifications(&self) -> &[Notification] {
        &self.notifications
    }

    /// How many there are in each status.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for notification in &self.notifications {
            match notification.status {
                Status::Pending => tally.pending += 1,
                Status::Acknowledged => tally.acknowledged += 1,
                Status::Failed => tally.failed += 1,
            }
        }
        tally
    }

    /// Whether a box is there, and whose.
    pub(super) fn check(&self, box_id: &str, client_id: &str) -> Result<(), Problem> {
        match self.owners.get(box_id) {
            None => Err(Problem::NoBox),
            Some(owner) if owner != client_id => Err(Problem::Forbidden),
            Some(_) => Ok(()),
        }
    }

    /// What can still be had of a box.
    pub(super) fn kept<'a>(
        &'a self,
        box_id: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Notification> {
        let lies_here =
            move |it: &&Notification| it.box_id == box_id && now.since(it.created) <= RETENTION;
        self.notifications.iter().filter(lies_here)
    }

    /// Acknowledges one notification of a box; any other id is passed over without a word.
    pub(super) fn acknowledge(&mut self, box_id: &str, id: &str) {
        let place = self.places.get(id).copied();
        if let Some(notification) = place
            .map(|place| &mut self.notifications[place])
            .filter(|it| it.box_id == box_id)
        {
            notification.status = Status::Acknowledged;
        }
    }
}
