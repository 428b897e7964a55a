//! `GET …/box/{boxId}/notifications`: up to so many, the oldest first. Reading changes nothing.

use super::{
    super::{Ask, Reply},
    Asker, Boxes, Problem, Status, date,
    notification::Notification,
};
use crate::Timestamp;

/// How many come back when the query does not say.
const UNLESS_SAID: usize = 100;

/// What a query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    status: Option<Status>,
    /// Both of them belong to what is wanted.
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// How many; zero is all of them.
    count: usize,
}

/// Answers with the box's notifications, bare in an array.
pub(super) fn list(
    boxes: &Boxes,
    asker: &Asker,
    ask: &Ask,
    now: Timestamp,
) -> Result<Reply, Problem> {
    if !asker.accepts {
        return Err(Problem::Accept);
    }
    let wanted = Wanted::read(&ask.parameters())?;
    boxes.check(&asker.box_id, &asker.client_id)?;
    let mut found: Vec<&Notification> = boxes
        .kept(&asker.box_id, now)
        .filter(|notification| wanted.is_met_by(notification))
        .collect();
    found.sort_by_key(|notification| notification.created);
    let most = if wanted.count == 0 {
        found.len()
    } else {
        wanted.count
    };
    let elements: Vec<String> = found
        .into_iter()
        .take(most)
        .map(Notification::element)
        .collect();
    Ok(Reply::json(200, format!("[{}]", elements.join(","))))
}

impl Wanted {
    /// Of a parameter that comes several times the first counts.
    fn read(parameters: &[(String, String)]) -> Result<Self, Problem> {
        const KNOWN: [&str; 4] = ["status", "fromDate", "toDate", "count"];
        if parameters
            .iter()
            .any(|(name, _)| !KNOWN.contains(&name.as_str()))
        {
            return Err(Problem::UnknownParameter);
        }
        let first = |name: &str| {
            parameters
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let date = |name: &str| {
            first(name)
                .map(|text| date::parse(text).ok_or(Problem::DateParameter))
                .transpose()
        };
        let status = first("status")
            .map(|text| Status::parse(text).ok_or(Problem::StatusParameter))
            .transpose()?;
        let (from, to) = (date("fromDate")?, date("toDate")?);
        let count = first("count")
            .map(|text| text.parse().map_err(|_| Problem::CountParameter))
            .transpose()?;
        match (from, to) {
            (Some(from), Some(to)) if from >= to => Err(Problem::DateOrder),
            _ => Ok(Self {
                status,
                from,
                to,
                count: count.unwrap_or(UNLESS_SAID),
            }),
        }
    }

    fn is_met_by(&self, notification: &Notification) -> bool {
        self.status
            .is_none_or(|status| notification.status == status)
            && self.from.is_none_or(|from| notification.created >= from)
            && self.to.is_none_or(|to| notification.created <= to)
    }
}
