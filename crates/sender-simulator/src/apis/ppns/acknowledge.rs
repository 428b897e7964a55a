//! `PUT …/box/{boxId}/notifications/acknowledge`: acknowledges all given ids, or none.

use std::collections::HashSet;

use serde::Deserialize;

use super::{
    super::{ApiRequest, ApiResponse},
    BoxCaller, PpnsBoxes, PpnsError, uuid,
};

/// The longest body that is accepted.
const MAX_BODY_BYTES: usize = 100 * 1024;
/// The most ids in one call.
const MAX_IDS: usize = 100;

#[derive(Deserialize)]
struct AcknowledgeBody {
    #[serde(rename = "notificationIds")]
    notification_ids: Vec<String>,
}

/// Acknowledges every id in the body that is in the box. Other ids are ignored.
pub(super) fn acknowledge(
    boxes: &mut PpnsBoxes,
    caller: &BoxCaller,
    request: &ApiRequest,
) -> Result<ApiResponse, PpnsError> {
    // The framework reads the body before any other check.
    if !matches!(
        request.content_type().as_deref(),
        Some("application/json" | "text/json")
    ) {
        return Err(PpnsError::ContentType);
    }
    if request.body.len() > MAX_BODY_BYTES {
        return Err(PpnsError::TooLarge);
    }
    if !caller.accepts {
        return Err(PpnsError::Accept);
    }
    let ids = ids(&request.body).ok_or(PpnsError::Body)?;
    boxes.check_owner(&caller.box_id, &caller.client_id)?;
    for id in &ids {
        boxes.acknowledge(&caller.box_id, id);
    }
    Ok(ApiResponse::empty(204))
}

/// The ids in a body: 1 to 100 different UUIDs. `None` if the body is anything else.
pub(super) fn ids(body: &[u8]) -> Option<Vec<String>> {
    let body: AcknowledgeBody = serde_json::from_slice(body).ok()?;
    let ids: Vec<String> = body
        .notification_ids
        .iter()
        .map(|id| uuid(id))
        .collect::<Option<_>>()?;
    let distinct: HashSet<&String> = ids.iter().collect();
    ((1..=MAX_IDS).contains(&ids.len()) && distinct.len() == ids.len()).then_some(ids)
}
