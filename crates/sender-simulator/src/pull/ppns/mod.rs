//! HMRC's Push Pull Notifications Service when it is asked: tokens, lists and acknowledgements.
//!
//! Facts are from hmrc/push-pull-notifications-api, from the reference guide of HMRC's Developer Hub, and from what
//! HMRC's own libraries do. Where neither says in which order a request's faults are found, the platform in front finds its
//! own before the service behind it sees anything.

mod acknowledge;
mod boxes;
mod date;
mod list;
mod notification;
mod problem;
mod token;

use std::{io, sync::Arc, time::Duration};

use super::{Ask, Call, Calls, Reply, Server, Service, ask::Credentials};
use crate::{Clock, Timestamp, hmrc::Message};

pub use boxes::{Boxes, Tally};
pub use notification::{Flaw, Notification, Status};
pub use problem::Problem;
pub use token::Application;

/// The scope that lists.
pub const READ: &str = "read:pull-notifications";
/// The scope that acknowledges.
pub const WRITE: &str = "write:notifications";
/// How long a token is good for.
pub const TOKEN_LASTS: Duration = Duration::from_secs(14_400);
/// How many calls a second one application may make.
pub const CALLS_A_SECOND: usize = 3;

/// HMRC's pull API on loopback.
pub type Ppns = Server<Boxes>;

/// What can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /oauth/token`.
    Token,
    /// `GET …/box/{boxId}/notifications`.
    List,
    /// `PUT …/box/{boxId}/notifications/acknowledge`.
    Acknowledge,
}

impl Server<Boxes> {
    /// Serves no box yet, on 127.0.0.1 at `port`, or at a free one for 0. Fails if the port is taken.
    pub async fn start(port: u16, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::serve(port, clock, Boxes::new()).await
    }

    /// Puts a new notification, created now and pending, into a box, and returns its id.
    pub fn post(&self, box_id: &str, message: Message) -> String {
        let notification = Notification::new(box_id, message, self.clock());
        let id = notification.id.clone();
        self.with(|boxes| boxes.add(notification));
        id
    }

    /// The shortest time between two lists of one box, whatever they asked for.
    pub fn smallest_gap_between_lists(&self, box_id: &str) -> Option<Duration> {
        let of_box = format!("/box/{box_id}/notifications");
        self.calls()
            .to(Endpoint::List)
            .filtered(|call| call.target.contains(&of_box))
            .smallest_gap()
    }
}

impl Call<Endpoint> {
    /// The ids that this call acknowledged; the client need not have heard of it.
    pub fn acknowledged(&self) -> Vec<String> {
        let done = self.endpoint == Some(Endpoint::Acknowledge) && self.decided() == Some(204);
        if done {
            acknowledge::ids(&self.body).unwrap_or_default()
        } else {
            Vec::new()
        }
    }
}

impl Calls<Endpoint> {
    /// Every id that was acknowledged, as often as it was.
    pub fn acknowledged(&self) -> Vec<String> {
        self.iter().flat_map(Call::acknowledged).collect()
    }
}

/// Where a request leads; a box stands as the path names it.
enum Route {
    Token,
    List(String),
    Acknowledge(String),
}

fn route(ask: &Ask) -> Result<Route, Problem> {
    let segments = ask.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (method, route) = match segments[..] {
        ["oauth", "token"] => ("POST", Route::Token),
        ["misc", "push-pull-notification", "box", id, "notifications"] => {
            ("GET", Route::List(id.to_owned()))
        }
        [
            "misc",
            "push-pull-notification",
            "box",
            id,
            "notifications",
            "acknowledge",
        ] => ("PUT", Route::Acknowledge(id.to_owned())),
        _ => return Err(Problem::UnknownPath(ask.path.clone())),
    };
    if ask.method == method {
        Ok(route)
    } else {
        Err(Problem::Method)
    }
}

impl Service for Boxes {
    type Endpoint = Endpoint;

    fn endpoint(ask: &Ask) -> Option<Endpoint> {
        match route(ask).ok()? {
            Route::Token => Some(Endpoint::Token),
            Route::List(_) => Some(Endpoint::List),
            Route::Acknowledge(_) => Some(Endpoint::Acknowledge),
        }
    }

    fn answer(&mut self, ask: &Ask, now: Timestamp, clock: &dyn Clock) -> Reply {
        let answered = route(ask).and_then(|route| match route {
            Route::Token => Ok(self.tokens.issue(ask, now, clock)),
            Route::List(box_id) => {
                let asker = self.admit(ask, READ, &box_id, now)?;
                list::list(self, &asker, ask, now)
            }
            Route::Acknowledge(box_id) => {
                let asker = self.admit(ask, WRITE, &box_id, now)?;
                acknowledge::acknowledge(self, &asker, ask)
            }
        });
        answered.unwrap_or_else(Reply::from)
    }
}

impl Boxes {
    /// The platform's own checks, and the one that the service makes while it reads the path.
    fn admit(
        &mut self,
        ask: &Ask,
        scope: &str,
        box_id: &str,
        now: Timestamp,
    ) -> Result<Asker, Problem> {
        let accept = Accept::of(ask);
        if accept == Accept::OtherVersion {
            return Err(Problem::Version);
        }
        let token = match ask.credentials() {
            Credentials::None => return Err(Problem::MissingCredentials),
            Credentials::Other => return Err(Problem::InvalidCredentials),
            Credentials::Bearer(token) => token,
        };
        let grant = self
            .tokens
            .grant(token, now)
            .ok_or(Problem::InvalidCredentials)?;
        if !self.rate.takes(&grant.client_id, now) {
            return Err(Problem::Throttled);
        }
        if !grant.allows(scope) {
            return Err(Problem::InvalidScope);
        }
        let (client_id, box_id) = (grant.client_id.clone(), uuid(box_id).ok_or(Problem::BoxId)?);
        Ok(Asker {
            client_id,
            box_id,
            accepts: accept == Accept::Exactly,
        })
    }
}

/// Who asks for which box; the platform has let them pass.
struct Asker {
    client_id: String,
    box_id: String,
    /// Whether the accept header is the one the service insists on.
    accepts: bool,
}

/// What the accept header says of the version wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accept {
    Exactly,
    OtherVersion,
    Other,
}

impl Accept {
    fn of(ask: &Ask) -> Self {
        let value = ask.header("accept").unwrap_or_default();
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

/// A UUID in the spelling that is stored; `None` if the text is none.
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
