//! The API of HMRC's Push Pull Notifications Service: tokens, lists and acknowledgements.
//!
//! The facts come from hmrc/push-pull-notifications-api, the reference guide in HMRC's Developer
//! Hub, and HMRC's libraries. Where the order of checks is not documented, the API platform checks
//! a request before the service does.

mod acknowledge;
mod boxes;
mod date;
mod list;
mod notification;
mod error;
mod token;
#[cfg(any(test, feature = "test-apis"))]
mod test_controls;

use std::{io, sync::Arc, time::Duration};

use super::{ApiRequest, ApiResponse, ApiServer, SenderApi, request::ApiCredentials};
use crate::{Clock, Timestamp};

pub use boxes::{PpnsBoxes, StatusCounts};
pub use error::PpnsError;
pub use notification::{BoxNotification, BoxNotificationStatus};
#[cfg(any(test, feature = "test-apis"))]
pub use test_controls::ListDefect;
pub use token::PpnsApplication;

/// The scope for listing.
pub const READ_SCOPE: &str = "read:pull-notifications";
/// The scope for acknowledging.
pub const WRITE_SCOPE: &str = "write:notifications";
/// The lifetime of a token.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(14_400);
/// The limit on calls per second for one application.
pub const MAX_CALLS_PER_SECOND: usize = 3;

/// HMRC's API on loopback.
pub type PpnsApi = ApiServer<PpnsBoxes>;

/// An endpoint of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PpnsEndpoint {
    /// `POST /oauth/token`.
    Token,
    /// `GET …/box/{boxId}/notifications`.
    List,
    /// `PUT …/box/{boxId}/notifications/acknowledge`.
    Acknowledge,
}

impl ApiServer<PpnsBoxes> {
    /// Serves without boxes, on 127.0.0.1 at `port`, or at a free port for 0. Fails if the port is
    /// in use.
    pub async fn start(port: u16, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::serve(port, clock, PpnsBoxes::new()).await
    }
}

/// The endpoint of a request, with the box id as in the path.
enum PpnsRoute {
    Token,
    List(String),
    Acknowledge(String),
}

fn route(request: &ApiRequest) -> Result<PpnsRoute, PpnsError> {
    let segments = request.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (method, route) = match segments[..] {
        ["oauth", "token"] => ("POST", PpnsRoute::Token),
        ["misc", "push-pull-notification", "box", id, "notifications"] => {
            ("GET", PpnsRoute::List(id.to_owned()))
        }
        [
            "misc",
            "push-pull-notification",
            "box",
            id,
            "notifications",
            "acknowledge",
        ] => ("PUT", PpnsRoute::Acknowledge(id.to_owned())),
        _ => return Err(PpnsError::UnknownPath(request.path.clone())),
    };
    if request.method == method {
        Ok(route)
    } else {
        Err(PpnsError::Method)
    }
}

impl SenderApi for PpnsBoxes {
    type Endpoint = PpnsEndpoint;

    fn endpoint(request: &ApiRequest) -> Option<PpnsEndpoint> {
        match route(request).ok()? {
            PpnsRoute::Token => Some(PpnsEndpoint::Token),
            PpnsRoute::List(_) => Some(PpnsEndpoint::List),
            PpnsRoute::Acknowledge(_) => Some(PpnsEndpoint::Acknowledge),
        }
    }

    fn answer(&mut self, request: &ApiRequest, now: Timestamp, clock: &dyn Clock) -> ApiResponse {
        let answered = route(request).and_then(|route| match route {
            PpnsRoute::Token => Ok(self.tokens.issue(request, now, clock)),
            PpnsRoute::List(box_id) => {
                let caller = self.admit(request, READ_SCOPE, &box_id, now)?;
                list::list(self, &caller, request, now)
            }
            PpnsRoute::Acknowledge(box_id) => {
                let caller = self.admit(request, WRITE_SCOPE, &box_id, now)?;
                acknowledge::acknowledge(self, &caller, request)
            }
        });
        answered.unwrap_or_else(ApiResponse::from)
    }
}

impl PpnsBoxes {
    /// The platform's checks, and the service's check of the path.
    fn admit(
        &mut self,
        request: &ApiRequest,
        scope: &str,
        box_id: &str,
        now: Timestamp,
    ) -> Result<BoxCaller, PpnsError> {
        let accept = AcceptedVersion::of(request);
        if accept == AcceptedVersion::OtherVersion {
            return Err(PpnsError::Version);
        }
        let token = match request.credentials() {
            ApiCredentials::None => return Err(PpnsError::MissingCredentials),
            ApiCredentials::Other => return Err(PpnsError::InvalidCredentials),
            ApiCredentials::Bearer(token) => token,
        };
        let grant = self
            .tokens
            .grant(token, now)
            .ok_or(PpnsError::InvalidCredentials)?;
        if !self.rate_limiter.try_acquire(&grant.client_id, now) {
            return Err(PpnsError::Throttled);
        }
        if !grant.allows(scope) {
            return Err(PpnsError::InvalidScope);
        }
        let (client_id, box_id) = (
            grant.client_id.clone(),
            uuid(box_id).ok_or(PpnsError::BoxId)?,
        );
        Ok(BoxCaller {
            client_id,
            box_id,
            accepts: accept == AcceptedVersion::Exactly,
        })
    }
}

/// The client and the box of a request that passed the platform's checks.
struct BoxCaller {
    client_id: String,
    box_id: String,
    /// Whether the accept header is the one that the service requires.
    accepts: bool,
}

/// The API version in the accept header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AcceptedVersion {
    Exactly,
    OtherVersion,
    Other,
}

impl AcceptedVersion {
    fn of(request: &ApiRequest) -> Self {
        let value = request.header("accept").unwrap_or_default();
        let version = value
            .strip_prefix("application/vnd.hmrc.")
            .and_then(|rest| rest.strip_suffix("+json"));
        match version {
            Some("1.0") => Self::Exactly,
            Some(version) if version.starts_with(|c: char| c.is_ascii_digit()) => {
                Self::OtherVersion
            }
            _ => Self::Other,
        }
    }
}

/// A UUID in lower case, as it is stored; `None` if the text is not a UUID.
fn uuid(text: &str) -> Option<String> {
    let groups = text.split('-').map(|group| {
        group
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then_some(group.len())
    });
    groups
        .eq([8, 4, 4, 4, 12].map(Some))
        .then(|| text.to_ascii_lowercase())
}
