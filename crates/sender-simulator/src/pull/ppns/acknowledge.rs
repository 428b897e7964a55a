//! `PUT …/box/{boxId}/notifications/acknowledge`: some ids are done with, all of them or none.

use std::collections::HashSet;

use serde::Deserialize;

use super::{
    super::{Ask, Reply},
    Asker, Boxes, Problem, uuid,
};

/// The longest body that is read.
const LONGEST: usize = 100 * 1024;
/// The most ids in one call.
const MOST: usize = 100;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "notificationIds")]
    notification_ids: Vec<String>,
}

/// Acknowledges every id of the body that lies in the box; the others are passed over.
pub(super) fn acknowledge(boxes: &mut Boxes, asker: &Asker, ask: &Ask) -> Result<Reply, Problem> {
    // The framework reads a body before it looks at anything else.
    if !matches!(
        ask.content_type().as_deref(),
        Some("application/json" | "text/json")
    ) {
        return Err(Problem::ContentType);
    }
    if ask.body.len() > LONGEST {
        return Err(Problem::TooLarge);
    }
    if !asker.accepts {
        return Err(Problem::Accept);
    }
    let ids = ids(&ask.body).ok_or(Problem::Body)?;
    boxes.check(&asker.box_id, &asker.client_id)?;
    for id in &ids {
        boxes.acknowledge(&asker.box_id, id);
    }
    Ok(Reply::empty(204))
}

/// The ids of a body: 1 to 100 of them, all UUIDs, none twice. `None` if it is anything else.
pub(super) fn ids(body: &[u8]) -> Option<Vec<String>> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let ids: Vec<String> = body
        .notification_ids
        .iter()
        .map(|id| uuid(id))
        .collect::<Option<_>>()?;
    let distinct: HashSet<&String> = ids.iter().collect();
    ((1..=MOST).contains(&ids.len()) && distinct.len() == ids.len()).then_some(ids)
}
