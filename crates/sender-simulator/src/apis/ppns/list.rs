//! `GET …/box/{boxId}/notifications`: the oldest notifications first, up to a count. It changes
//! nothing.

use super::{
    super::{ApiRequest, ApiResponse, request::first_value},
    BoxCaller, BoxNotificationStatus, PpnsBoxes, PpnsError, date,
    notification::BoxNotification,
};
use crate::Timestamp;

/// The count if the query has none.
const DEFAULT_COUNT: usize = 100;

/// The parameters of a query.
#[derive(Debug, PartialEq, Eq)]
struct ListQuery {
    status: Option<BoxNotificationStatus>,
    /// Inclusive, like `to`.
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// The largest number of notifications; zero means all.
    count: usize,
}

/// Answers with an array of the box's notifications.
pub(super) fn list(
    boxes: &PpnsBoxes,
    caller: &BoxCaller,
    request: &ApiRequest,
    now: Timestamp,
) -> Result<ApiResponse, PpnsError> {
    if !caller.accepts {
        return Err(PpnsError::Accept);
    }
    let query = ListQuery::read(&request.parameters())?;
    boxes.check_owner(&caller.box_id, &caller.client_id)?;
    let mut found: Vec<&BoxNotification> = boxes
        .retained(&caller.box_id, now)
        .filter(|notification| query.matches(notification))
        .collect();
    found.sort_by_key(|notification| notification.created);
    let most = if query.count == 0 {
        found.len()
    } else {
        query.count
    };
    let elements: Vec<String> = found
        .into_iter()
        .take(most)
        .map(BoxNotification::element)
        .collect();
    Ok(ApiResponse::json(200, format!("[{}]", elements.join(","))))
}

impl ListQuery {
    /// If a parameter occurs several times, the first counts.
    fn read(parameters: &[(String, String)]) -> Result<Self, PpnsError> {
        const KNOWN: [&str; 4] = ["status", "fromDate", "toDate", "count"];
        if parameters
            .iter()
            .any(|(name, _)| !KNOWN.contains(&name.as_str()))
        {
            return Err(PpnsError::UnknownParameter);
        }
        let first = |name: &str| first_value(parameters, name);
        let date = |name: &str| {
            first(name)
                .map(|text| date::parse(text).ok_or(PpnsError::DateParameter))
                .transpose()
        };
        let status = first("status")
            .map(|text| BoxNotificationStatus::parse(text).ok_or(PpnsError::StatusParameter))
            .transpose()?;
        let (from, to) = (date("fromDate")?, date("toDate")?);
        let count = first("count")
            .map(|text| text.parse().map_err(|_| PpnsError::CountParameter))
            .transpose()?;
        match (from, to) {
            (Some(from), Some(to)) if from >= to => Err(PpnsError::DateOrder),
            _ => Ok(Self {
                status,
                from,
                to,
                count: count.unwrap_or(DEFAULT_COUNT),
            }),
        }
    }

    fn matches(&self, notification: &BoxNotification) -> bool {
        self.status
            .is_none_or(|status| notification.status == status)
            && self.from.is_none_or(|from| notification.created >= from)
            && self.to.is_none_or(|to| notification.created <= to)
    }
}
