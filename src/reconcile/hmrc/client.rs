//! A client of HMRC's Push Pull Notifications API: tokens, lists and acknowledgements, within
//! HMRC's rate limits.

use std::time::Duration;

use reqwest::{RequestBuilder, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    HmrcAccess, HmrcError, NotificationStatus,
    page::{ListedNotification, elements},
    record::StoredId,
};
use crate::{
    domain::Timestamp,
    http_client::{self, ClientResponse, OutboundNetwork, RequestError},
    inbox::{KvKey, ReconcileInbox},
    reconcile::{LockedRun, RunEnd, rate_limiter::RateLimiter, transport::CALL_LIMITS},
    secrets::Secret,
};

/// HMRC's limit is three calls in a second for each application.
const CALL_INTERVAL: Duration = Duration::from_millis(400);
/// The limit on a response. A hundred notifications are at most ten megabytes, as far as is known.
const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;
/// How long before its expiry a token is replaced.
const TOKEN_MARGIN: Duration = Duration::from_secs(5 * 60);
/// HMRC accepts exactly this value, without alternatives or weights.
const ACCEPT: &str = "application/vnd.hmrc.1.0+json";
const SCOPES: &str = "read:pull-notifications write:notifications";

/// Why a call failed: the run ended, or HMRC returned an error.
#[derive(Debug)]
pub(super) enum HmrcCallError {
    Ended(RunEnd),
    Hmrc(HmrcError),
}

impl From<RunEnd> for HmrcCallError {
    fn from(ended: RunEnd) -> Self {
        Self::Ended(ended)
    }
}

impl From<HmrcError> for HmrcCallError {
    fn from(error: HmrcError) -> Self {
        Self::Hmrc(error)
    }
}

/// The part of a box to list.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoxQuery<'a> {
    pub(super) box_id: &'a str,
    pub(super) status: NotificationStatus,
    pub(super) from: Option<Timestamp>,
    pub(super) count: usize,
}

/// One application's access to its boxes.
pub(super) struct HmrcClient<'a> {
    http: reqwest::Client,
    access: &'a HmrcAccess,
    calls: RateLimiter,
    token: Option<AccessToken>,
    /// Whether the token was renewed because one was refused, and none has been accepted since.
    renewed: bool,
}

struct AccessToken {
    value: Secret,
    until: Timestamp,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    expires_in: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AcknowledgeRequest<'a> {
    notification_ids: Vec<&'a str>,
}

impl<'a> HmrcClient<'a> {
    /// A client without a token.
    pub(super) fn new(access: &'a HmrcAccess) -> Result<Self, HmrcError> {
        let no_client = |_| HmrcError::Unanswered(RequestError::NoConnection);
        let http = http_client::client(&access.base_url, CALL_LIMITS, &OutboundNetwork::default())
            .map_err(no_client)?;
        // All callers for one application share its rate limiter. The key holds a digest, so that
        // it does not reveal the client id.
        let application = hex::encode(&Sha256::digest(access.client_id.expose())[..8]);
        let calls = RateLimiter::new(KvKey::new("call", &application), CALL_INTERVAL);
        Ok(Self {
            http,
            access,
            calls,
            token: None,
            renewed: false,
        })
    }

    /// Prepares a call: fetches a token if necessary, and acquires the application's next call from
    /// the rate limiter. The call must follow immediately.
    pub(super) async fn prepare_call(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
    ) -> Result<(), HmrcCallError> {
        self.get_token(run).await?;
        Ok(self.calls.acquire(run).await?)
    }

    /// Fetches a token, unless the current one is valid for a while.
    async fn get_token(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
    ) -> Result<(), HmrcCallError> {
        let now = run.now();
        if self.token.as_ref().is_some_and(|token| now < token.until) {
            return Ok(());
        }
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", self.access.client_id.expose())
            .append_pair("client_secret", self.access.client_secret.expose())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", SCOPES)
            .finish();
        let request = self.http.post(http_client::under(
            &self.access.base_url,
            &["oauth", "token"],
        ));
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        self.calls.acquire(run).await?;
        let sent = run.send(request, MAX_RESPONSE_BYTES).await?;
        let response = sent.map_err(HmrcError::from)?;
        if response.status != 200 {
            return Err(HmrcError::from_token(&response).into());
        }
        let granted: TokenResponse =
            serde_json::from_slice(&response.body).map_err(|_| HmrcError::NotUnderstood)?;
        let lasts = Duration::from_secs(granted.expires_in.into());
        // A token that lasts less than the margin is used for half of its life.
        let used_for = lasts.checked_sub(TOKEN_MARGIN).unwrap_or(lasts / 2);
        self.token = Some(AccessToken {
            value: Secret::new(granted.access_token),
            until: now.plus(used_for),
        });
        Ok(())
    }

    /// Lists a part of a box. Call [`prepare_call`](Self::prepare_call) first.
    pub(super) async fn list(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        query: BoxQuery<'_>,
    ) -> Result<Vec<ListedNotification>, HmrcCallError> {
        let url = self.url_of_query(&query);
        let response = self.authorised(run, self.http.get(url)).await?;
        match response.status {
            200 => Ok(elements(&response.body).ok_or(HmrcError::NotUnderstood)?),
            _ => Err(self.refused(&response).into()),
        }
    }

    fn url_of_query(&self, query: &BoxQuery<'_>) -> Url {
        let mut url = self.of_box(query.box_id, &[]);
        let mut pairs = url.query_pairs_mut();
        pairs
            .append_pair("status", query.status.as_str())
            .append_pair("count", &query.count.to_string());
        if let Some(from) = query.from {
            pairs.append_pair("fromDate", &from.to_string());
        }
        drop(pairs);
        url
    }

    /// Acknowledges stored notifications. Call [`prepare_call`](Self::prepare_call) first.
    pub(super) async fn acknowledge(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        box_id: &str,
        stored: &[StoredId],
    ) -> Result<(), HmrcCallError> {
        let ids = AcknowledgeRequest {
            notification_ids: stored.iter().map(|stored| stored.id().as_str()).collect(),
        };
        let body = serde_json::to_vec(&ids).expect("texts serialise to JSON");
        let request = self.http.put(self.of_box(box_id, &["acknowledge"]));
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let response = self.authorised(run, request).await?;
        if response.status == 204 {
            Ok(())
        } else {
            Err(self.refused(&response).into())
        }
    }

    /// Sends a request with the token.
    async fn authorised(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        request: RequestBuilder,
    ) -> Result<ClientResponse, HmrcCallError> {
        let request = request.header(header::ACCEPT, ACCEPT);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.value.expose()),
            None => request,
        };
        let sent = run.send(request, MAX_RESPONSE_BYTES).await?;
        let response = sent.map_err(HmrcError::from)?;
        self.renewed &= response.status == 401;
        Ok(response)
    }

    /// The meaning of a refusal. A refused token is renewed once; a refused fresh token is an
    /// error.
    fn refused(&mut self, response: &ClientResponse) -> HmrcError {
        match HmrcError::from_api(response) {
            HmrcError::TokenExpired if self.renewed => HmrcError::Unauthorised,
            HmrcError::TokenExpired => {
                (self.token, self.renewed) = (None, true);
                HmrcError::TokenExpired
            }
            other => other,
        }
    }

    fn of_box(&self, box_id: &str, more: &[&str]) -> Url {
        let path = [
            "misc",
            "push-pull-notification",
            "box",
            box_id,
            "notifications",
        ];
        http_client::under(&self.access.base_url, &[&path, more].concat())
    }
}
