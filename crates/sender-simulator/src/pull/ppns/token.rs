//! `POST /oauth/token`: who an application is, for so long and for so much.
//!
//! Errors are OAuth's, `{"error":…,"error_description":…}`, unlike those of every other endpoint.

use std::collections::HashMap;

use super::{
    super::{
        Ask, Reply,
        ask::{form, value_of},
    },
    READ, TOKEN_LASTS, WRITE,
};
use crate::{Clock, Timestamp, json, random};

/// An application as the Developer Hub knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its client id; boxes belong to one.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: String,
    /// What it may ask for.
    pub scopes: Vec<String>,
}

impl Application {
    /// One that may list and acknowledge.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            scopes: [READ, WRITE].map(str::to_owned).into(),
        }
    }
}

/// What a token is good for.
pub(super) struct Grant {
    pub(super) client_id: String,
    scopes: Vec<String>,
    until: Timestamp,
}

impl Grant {
    pub(super) fn allows(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// The applications there are, and the tokens they have been given.
#[derive(Default)]
pub(super) struct Tokens {
    applications: HashMap<String, Application>,
    granted: HashMap<String, Grant>,
}

/// Why there is no token: a status, OAuth's word for it, and a sentence.
struct NoToken(u16, &'static str, String);

impl Tokens {
    pub(super) fn register(&mut self, application: Application) {
        self.applications
            .insert(application.client_id.clone(), application);
    }

    pub(super) fn revoke_all(&mut self) {
        self.granted.clear();
    }

    /// What a token is good for, as long as it is.
    pub(super) fn grant(&self, token: &str, now: Timestamp) -> Option<&Grant> {
        self.granted.get(token).filter(|grant| now < grant.until)
    }

    /// Answers a request for a token.
    pub(super) fn issue(&mut self, ask: &Ask, now: Timestamp, clock: &dyn Clock) -> Reply {
        let (client_id, scopes) = match self.judge(ask) {
            Ok(judged) => judged,
            Err(NoToken(status, error, description)) => {
                let fields = [
                    ("error", json::string(error)),
                    ("error_description", json::string(&description)),
                ];
                return Reply::json(status, json::object(&fields));
            }
        };
        let token = format!("{}{}", random::hex16(clock), random::hex16(clock));
        let fields = [
            ("access_token", json::string(&token)),
            ("token_type", json::string("bearer")),
            ("expires_in", TOKEN_LASTS.as_secs().to_string()),
            ("scope", json::string(&scopes.join(" "))),
        ];
        self.granted.insert(
            token,
            Grant {
                client_id,
                scopes,
                until: now.plus(TOKEN_LASTS),
            },
        );
        Reply::json(200, json::object(&fields))
    }

    /// The client id and the scopes that a request has a right to. All of it is in the body, none in headers.
    fn judge(&self, ask: &Ask) -> Result<(String, Vec<String>), NoToken> {
        let invalid_request = |why: &str| NoToken(400, "invalid_request", why.to_owned());
        if ask.content_type().as_deref() != Some("application/x-www-form-urlencoded") {
            return Err(invalid_request("the body must be form encoded"));
        }
        let fields = form(&ask.body);
        let field = |name: &str| match value_of(&fields, name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(invalid_request(&format!("{name} is required"))),
        };
        let (client_id, client_secret) = (field("client_id")?, field("client_secret")?);
        if field("grant_type")? != "client_credentials" {
            return Err(invalid_request("unsupported grant_type"));
        }
        let known = self
            .applications
            .get(client_id)
            .filter(|known| known.client_secret == client_secret);
        let application = known.ok_or_else(|| {
            NoToken(
                401,
                "invalid_client",
                "invalid client id or secret".to_owned(),
            )
        })?;
        let scopes: Vec<String> = value_of(&fields, "scope")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        match scopes
            .iter()
            .find(|scope| !application.scopes.contains(scope))
        {
            Some(_) => Err(NoToken(400, "invalid_scope", "scope is invalid".to_owned())),
            None => Ok((client_id.to_owned(), scopes)),
        }
    }
}
