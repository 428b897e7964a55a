//! A client of GOV.UK Pay's API: a few calls a second, and fewer while the API fails.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{PayAccess, PayError, error, judge::StateChange};
use crate::{
    domain::{NotificationId, Timestamp},
    http_client::{self, ClientResponse, OutboundNetwork, RequestError},
    inbox::ReconcileInbox,
    reconcile::{
        LockedRun, ProgressEvent, RunEnd,
        backoff::{MAX_ATTEMPTS, backoff},
        transport::CALL_LIMITS,
    },
    senders::{Payment, Pulled},
};

/// Pay allows several hundred calls a second for an account. Most of them are left to the account's
/// other programs.
const CALL_INTERVAL: Duration = Duration::from_millis(200);
/// The limit on a response. 500 payments are two megabytes.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Pay's codes for a page past the end of a search for payments, and for refunds.
const NO_PAGE_CODES: [&str; 2] = ["P0402", "P1100"];
/// Pay's codes for a payment, its events and its refunds that are not there.
const NOT_FOUND_CODES: [&str; 3] = ["P0200", "P0300", "P0800"];

/// One account's access to its payments.
pub(super) struct PayClient<'a> {
    http: reqwest::Client,
    access: &'a PayAccess,
    has_called: bool,
}

/// Everything that Pay's API returns about one payment.
#[derive(Debug)]
pub(super) struct WholePayment {
    pub(super) payment: Payment,
    pub(super) history: Vec<StateChange>,
    /// How many refunds have succeeded.
    pub(super) refunds: usize,
}

/// One page of a search.
#[derive(Debug)]
pub(super) struct ResultPage<T> {
    /// The results that could be read, newest first.
    pub(super) results: Vec<T>,
    /// The number of those that could not be read.
    pub(super) unreadable: usize,
    /// The query of the next page.
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
struct SearchResults<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
    count: usize,
    #[serde(rename = "_links")]
    links: PageLinks,
}

#[derive(Deserialize)]
struct PageLinks {
    next_page: Option<HalLink>,
}

#[derive(Deserialize)]
struct HalLink {
    href: String,
}

/// A refund as a search for refunds shows it.
pub(super) struct FoundRefund {
    /// The payment.
    pub(super) payment: NotificationId,
    /// Whether it failed, and changed nothing.
    pub(super) has_failed: bool,
}

#[derive(Deserialize)]
struct RefundResult {
    payment_id: String,
    status: String,
}

#[derive(Deserialize)]
struct PaymentHistory {
    events: Vec<HistoryEvent>,
}

#[derive(Deserialize)]
struct HistoryEvent {
    state: HistoryState,
    updated: String,
}

#[derive(Deserialize)]
struct HistoryState {
    status: String,
    finished: Option<bool>,
}

#[derive(Deserialize)]
struct PaymentRefunds {
    #[serde(rename = "_embedded")]
    embedded: EmbeddedRefunds,
}

#[derive(Deserialize)]
struct EmbeddedRefunds {
    refunds: Vec<RefundItem>,
}

#[derive(Deserialize)]
struct RefundItem {
    status: String,
}

impl<'a> PayClient<'a> {
    /// A client of the account's API.
    pub(super) fn new(access: &'a PayAccess) -> Result<Self, PayError> {
        let no_client = |_| PayError::Unanswered(RequestError::NoConnection);
        let http = http_client::client(&access.base_url, CALL_LIMITS, &OutboundNetwork::default())
            .map_err(no_client)?;
        Ok(Self {
            http,
            access,
            has_called: false,
        })
    }

    /// One page of a search for payments.
    pub(super) async fn payments_page(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        query: &str,
    ) -> Result<ResultPage<Payment>, RunEnd> {
        self.page(run, "payments", query, Payment::read).await
    }

    /// One page of a search for refunds.
    pub(super) async fn refunds_page(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        query: &str,
    ) -> Result<ResultPage<FoundRefund>, RunEnd> {
        let refund = |json: &[u8]| {
            let refund: RefundResult = serde_json::from_slice(json).ok()?;
            Some(FoundRefund {
                payment: NotificationId::new(&refund.payment_id)?,
                has_failed: refund.status == "error",
            })
        };
        self.page(run, "refunds", query, refund).await
    }

    async fn page<T>(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        what: &str,
        query: &str,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<ResultPage<T>, RunEnd> {
        let mut url = http_client::under(&self.access.base_url, &["v1", what]);
        url.set_query(Some(query));
        let response = self.get(run, &url).await?;
        match response.status {
            200 => read_page(&url, &response.body, read).map_err(RunEnd::GovukPay),
            404 if is_past_the_end(query, &response) => Ok(ResultPage {
                results: Vec::new(),
                unreadable: 0,
                next: None,
            }),
            _ => Err(RunEnd::GovukPay(PayError::of(&response))),
        }
    }

    /// The current payment and the whole response; `None` if the payment does not exist.
    pub(super) async fn payment(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        id: &NotificationId,
    ) -> Result<Option<(Payment, Pulled)>, RunEnd> {
        let Some(body) = self.get_payment_resource(run, id, &[]).await? else {
            return Ok(None);
        };
        Ok(Payment::read(&body)
            .filter(|payment| payment.id == *id)
            .map(|payment| (payment, Pulled::payment(body))))
    }

    /// Pay's history of a payment; empty if Pay does not know it.
    pub(super) async fn history(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        id: &NotificationId,
    ) -> Result<Vec<StateChange>, RunEnd> {
        let Some(body) = self.get_payment_resource(run, id, &["events"]).await? else {
            return Ok(Vec::new());
        };
        read_history(&body).map_err(RunEnd::GovukPay)
    }

    /// How many refunds of a payment have succeeded.
    pub(super) async fn refunds(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        id: &NotificationId,
    ) -> Result<usize, RunEnd> {
        let Some(body) = self.get_payment_resource(run, id, &["refunds"]).await? else {
            return Ok(0);
        };
        read_refunds(&body).map_err(RunEnd::GovukPay)
    }

    async fn get_payment_resource(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        id: &NotificationId,
        more: &[&str],
    ) -> Result<Option<Bytes>, RunEnd> {
        let url = self.payments(&[&[id.as_str()], more].concat());
        let response = self.get(run, &url).await?;
        found_body(response).map_err(RunEnd::GovukPay)
    }

    /// Sends a request, and retries it while errors are transient.
    async fn get(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        url: &Url,
    ) -> Result<ClientResponse, RunEnd> {
        let mut failures = 0;
        loop {
            let error = match self.call(run, url).await? {
                Ok(response) if !PayError::of(&response).is_retryable() => return Ok(response),
                Ok(response) => PayError::of(&response),
                Err(error) => error,
            };
            failures += 1;
            if !error.is_retryable() || failures == MAX_ATTEMPTS {
                return Err(RunEnd::GovukPay(error));
            }
            run.context
                .reporter
                .on_event(ProgressEvent::PayFailed(&error));
            run.pause(backoff(failures, run.random())).await?;
        }
    }

    async fn call(
        &mut self,
        run: &mut LockedRun<'_, impl ReconcileInbox>,
        url: &Url,
    ) -> Result<Result<ClientResponse, PayError>, RunEnd> {
        if self.has_called {
            run.pause(CALL_INTERVAL).await?;
        }
        self.has_called = true;
        let sent = run.send(self.request(url), MAX_RESPONSE_BYTES).await?;
        Ok(sent.map_err(PayError::from))
    }

    fn request(&self, url: &Url) -> reqwest::RequestBuilder {
        let request = self.http.get(url.clone());
        request.bearer_auth(self.access.api_key.expose())
    }

    /// Sends one request for a person who waits for the response, without retries.
    async fn send_once(&self, url: &Url) -> Result<ClientResponse, PayError> {
        http_client::send(self.request(url), MAX_RESPONSE_BYTES)
            .await
            .map_err(PayError::from)
    }

    /// Pay's response about one payment, or a part of it, for a person; `None` if Pay does not know
    /// it.
    async fn look_up(&self, id: &NotificationId, more: &[&str]) -> Result<Option<Bytes>, PayError> {
        let url = self.payments(&[&[id.as_str()], more].concat());
        found_body(self.send_once(&url).await?)
    }

    /// The payments with this reference, for a person: at most 20, the newest first.
    pub(super) async fn payments_by_reference(
        &self,
        reference: &str,
    ) -> Result<Vec<Payment>, PayError> {
        let mut url = self.payments(&[]);
        url.query_pairs_mut()
            .append_pair("reference", reference)
            .append_pair("display_size", "20");
        let response = self.send_once(&url).await?;
        match response.status {
            200 => Ok(read_page(&url, &response.body, Payment::read)?.results),
            _ => Err(PayError::of(&response)),
        }
    }

    /// The current payment, its history and its refunds, for a person.
    pub(super) async fn whole_payment(
        &self,
        id: &NotificationId,
    ) -> Result<Option<WholePayment>, PayError> {
        let Some(body) = self.look_up(id, &[]).await? else {
            return Ok(None);
        };
        let payment = Payment::read(&body).ok_or(PayError::NotUnderstood)?;
        let history = self.look_up(id, &["events"]).await?;
        let refunds = match payment.refunded {
            0 => None,
            _ => self.look_up(id, &["refunds"]).await?,
        };
        Ok(Some(WholePayment {
            history: history.map_or_else(|| Ok(Vec::new()), |body| read_history(&body))?,
            refunds: refunds.map_or(Ok(0), |body| read_refunds(&body))?,
            payment,
        }))
    }

    fn payments(&self, more: &[&str]) -> Url {
        http_client::under(&self.access.base_url, &[&["v1", "payments"], more].concat())
    }
}

/// The body of a response; `None` if Pay does not know the payment.
fn found_body(response: ClientResponse) -> Result<Option<Bytes>, PayError> {
    match response.status {
        200 => Ok(Some(response.body)),
        404 if NOT_FOUND_CODES.contains(&error::code(&response).as_str()) => Ok(None),
        _ => Err(PayError::of(&response)),
    }
}

fn read_history(body: &[u8]) -> Result<Vec<StateChange>, PayError> {
    let history: PaymentHistory = read_json(body)?;
    let change = |event: HistoryEvent| {
        Some(StateChange {
            at: Timestamp::parse(&event.updated)?,
            status: event.state.status,
            is_finished: event.state.finished == Some(true),
        })
    };
    Ok(history.events.into_iter().filter_map(change).collect())
}

/// How many refunds have succeeded.
fn read_refunds(body: &[u8]) -> Result<usize, PayError> {
    let refunds: PaymentRefunds = read_json(body)?;
    let refunds = refunds.embedded.refunds.iter();
    Ok(refunds.filter(|refund| refund.status == "success").count())
}

fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, PayError> {
    serde_json::from_slice(body).map_err(|_| PayError::NotUnderstood)
}

fn read_page<T>(
    url: &Url,
    body: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<ResultPage<T>, PayError> {
    let page: SearchResults<'_> = read_json(body)?;
    if page.count != page.results.len() {
        return Err(PayError::NotUnderstood);
    }
    let raw = page.results.iter();
    let results: Vec<T> = raw
        .filter_map(|result| read(result.get().as_bytes()))
        .collect();
    let next = page.links.next_page.map(|link| next(url, &link.href));
    Ok(ResultPage {
        unreadable: page.results.len() - results.len(),
        results,
        next: next.transpose()?,
    })
}

/// A page of a search for payments at `url`: the payments, how many could not be read, and the
/// query of the next page.
#[cfg(any(test, feature = "test-support"))]
pub fn search_for_tests(
    url: &Url,
    body: &[u8],
) -> Result<(Vec<Payment>, usize, Option<String>), PayError> {
    let page = read_page(url, body, Payment::read)?;
    Ok((page.results, page.unreadable, page.next))
}

/// Whether Pay reports that the search has fewer pages, as it does when payments leave the window
/// between two calls. There is always a first page, and a 404 without Pay's code is from another
/// server.
fn is_past_the_end(query: &str, response: &ClientResponse) -> bool {
    let page = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "page");
    let is_later = page.is_some_and(|(_, number)| number != "1");
    is_later && NO_PAGE_CODES.contains(&error::code(response).as_str())
}

/// The query of the next page. Its address must be that of this page, because the API key is sent
/// there.
fn next(url: &Url, href: &str) -> Result<String, PayError> {
    let next = url.join(href).map_err(|_| PayError::NotUnderstood)?;
    if next.origin() != url.origin() || next.path() != url.path() || next.query() == url.query() {
        return Err(PayError::Elsewhere);
    }
    Ok(next.query().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_of_pay_s_ends_a_search_and_never_on_its_first_page() {
        let past = r#"{"code":"P0402","description":"Page not found"}"#;
        for (query, body, is_past) in [
            ("from_date=x&page=2&display_size=500", past, true),
            ("from_date=x&page=1&display_size=500", past, false),
            ("from_date=x&display_size=500", past, false),
            ("page=2", "", false),
            ("page=2", "<html>", false),
            (
                "page=2",
                r#"{"code":404,"message":"HTTP 404 Not Found"}"#,
                false,
            ),
            ("page=2", r#"{"code":"P0200"}"#, false),
        ] {
            let response = ClientResponse {
                status: 404,
                body: body.into(),
            };
            assert_eq!(is_past_the_end(query, &response), is_past, "{query} {body}");
        }
    }

    #[test]
    fn the_next_page_is_at_the_same_address() {
        let url =
            Url::parse("https://publicapi.payments.service.gov.uk/v1/payments?page=1").unwrap();
        for good in [
            "https://publicapi.payments.service.gov.uk/v1/payments?page=2",
            "/v1/payments?page=2",
            "?page=2",
        ] {
            assert_eq!(next(&url, good), Ok("page=2".to_owned()), "{good}");
        }
        for bad in [
            "https://publicapi.payments.service.gov.uk.example/v1/payments?page=2",
            "http://publicapi.payments.service.gov.uk/v1/payments?page=2",
            "https://publicapi.payments.service.gov.uk:8443/v1/payments?page=2",
            "//example.org/v1/payments?page=2",
            "/v1/agreements?page=2",
            "?page=1",
        ] {
            assert_eq!(next(&url, bad), Err(PayError::Elsewhere), "{bad}");
        }
    }
}
