//! `POST /oauth/token`: an access token for an application.
//!
//! Errors have OAuth's format, `{"error":…,"error_description":…}`, unlike all other endpoints.

use std::collections::HashMap;

use super::{
    super::{
        ApiRequest, ApiResponse,
        request::{form, value_of},
    },
    READ_SCOPE, TOKEN_LIFETIME, WRITE_SCOPE,
};
use crate::{Clock, Timestamp, ids, json};

/// An application in the Developer Hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PpnsApplication {
    /// The client id, which owns boxes.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
    /// The scopes that it may request.
    pub scopes: Vec<String>,
}

impl PpnsApplication {
    /// An application that may list and acknowledge.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            scopes: [READ_SCOPE, WRITE_SCOPE].map(str::to_owned).into(),
        }
    }
}

/// The client and scopes of a token.
pub(super) struct TokenGrant {
    pub(super) client_id: String,
    scopes: Vec<String>,
    until: Timestamp,
}

impl TokenGrant {
    pub(super) fn allows(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// The applications and their tokens.
#[derive(Default)]
pub(super) struct TokenStore {
    applications: HashMap<String, PpnsApplication>,
    pub(super) granted: HashMap<String, TokenGrant>,
}

/// A refused request: a status, OAuth's error code, and a description.
struct TokenError(u16, &'static str, String);

impl TokenStore {
    pub(super) fn register(&mut self, application: PpnsApplication) {
        self.applications
            .insert(application.client_id.clone(), application);
    }

    /// The grant of a token that has not expired.
    pub(super) fn grant(&self, token: &str, now: Timestamp) -> Option<&TokenGrant> {
        self.granted.get(token).filter(|grant| now < grant.until)
    }

    /// Answers a request for a token.
    pub(super) fn issue(
        &mut self,
        request: &ApiRequest,
        now: Timestamp,
        clock: &dyn Clock,
    ) -> ApiResponse {
        let (client_id, scopes) = match self.authorise(request) {
            Ok(authorised) => authorised,
            Err(TokenError(status, error, description)) => {
                let fields = [("error", error), ("error_description", &description)];
                return ApiResponse::texts(status, &fields);
            }
        };
        let token = format!("{}{}", ids::hex16(clock), ids::hex16(clock));
        let fields = [
            ("access_token", json::string(&token)),
            ("token_type", json::string("bearer")),
            ("expires_in", TOKEN_LIFETIME.as_secs().to_string()),
            ("scope", json::string(&scopes.join(" "))),
        ];
        self.granted.insert(
            token,
            TokenGrant {
                client_id,
                scopes,
                until: now.plus(TOKEN_LIFETIME),
            },
        );
        ApiResponse::json(200, json::object(&fields))
    }

    /// The client id and scopes of a valid request. All parameters are in the body.
    fn authorise(&self, request: &ApiRequest) -> Result<(String, Vec<String>), TokenError> {
        let invalid_request = |why: &str| TokenError(400, "invalid_request", why.to_owned());
        if request.content_type().as_deref() != Some("application/x-www-form-urlencoded") {
            return Err(invalid_request("the body must be form encoded"));
        }
        let fields = form(&request.body);
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
            TokenError(
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
            Some(_) => Err(TokenError(
                400,
                "invalid_scope",
                "scope is invalid".to_owned(),
            )),
            None => Ok((client_id.to_owned(), scopes)),
        }
    }
}
