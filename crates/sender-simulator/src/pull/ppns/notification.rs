//! One notification as PPNS stores it, and as a list shows it.

use crate::{
    Body, Clock, Timestamp,
    hmrc::{self, Message},
    json, random,
};

/// How far a notification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Not yet received by anyone.
    Pending,
    /// A push was answered 200, or a pull acknowledged it.
    Acknowledged,
    /// Pushes were tried for hours, and none will follow.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Acknowledged, Self::Failed];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::Failed => "FAILED",
        }
    }

    /// Reads one in any letter case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text))
    }
}

/// What is wrong with a list's element. HMRC sends none of these; a client must still bring the others home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It has no id.
    NoId,
    /// Its date can't be read.
    BrokenDate,
    /// Its message is an object, and no string.
    MessageNotText,
}

/// One notification of a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its id, a UUID.
    pub id: String,
    /// The box it lies in.
    pub box_id: String,
    /// What the producer posted.
    pub message: Message,
    /// When.
    pub created: Timestamp,
    /// How far it has come.
    pub status: Status,
    /// What is wrong with it in a list.
    pub flaw: Option<Flaw>,
}

impl Notification {
    /// A new one, pending, under an id of its own.
    pub fn new(box_id: &str, message: Message, clock: &dyn Clock) -> Self {
        Self {
            id: random::uuid(clock),
            box_id: box_id.to_owned(),
            message,
            created: clock.now(),
            status: Status::Pending,
            flaw: None,
        }
    }

    /// The same, in this status.
    #[must_use]
    pub fn in_status(self, status: Status) -> Self {
        Self { status, ..self }
    }

    /// The same, created then.
    #[must_use]
    pub fn created(self, created: Timestamp) -> Self {
        Self { created, ..self }
    }

    /// The same, with something wrong in a list.
    #[must_use]
    pub fn flawed(self, flaw: Flaw) -> Self {
        Self {
            flaw: Some(flaw),
            ..self
        }
    }

    /// What a push of it carries.
    pub fn body(&self) -> Body {
        hmrc::envelope(&self.id, &self.message, &self.box_id, self.created)
    }

    /// Its element of a list: what a push carries but for the status, with the same characters escaped.
    pub(super) fn element(&self) -> String {
        let mut fields = hmrc::fields(
            &self.id,
            &self.message,
            &self.box_id,
            self.status.as_str(),
            self.created,
        );
        match self.flaw {
            None => {}
            Some(Flaw::NoId) => fields.retain(|(name, _)| *name != "notificationId"),
            Some(Flaw::BrokenDate) => replace(&mut fields, "createdDateTime", r#""yesterday""#),
            Some(Flaw::MessageNotText) => replace(&mut fields, "message", r#"{"key":"value"}"#),
        }
        json::escape_astral(&json::object(&fields))
    }
}

fn replace(fields: &mut [(&str, String)], name: &str, json: &str) {
    for (_, value) in fields.iter_mut().filter(|(known, _)| *known == name) {
        json.clone_into(value);
    }
}
