//! `GET /v1/payments` and `GET /v1/refunds`: those created in a period, in pages, the newest first.

use serde_json::{Value, json};

use super::{
    super::{ApiRequest, request::first_value},
    PayApiError, SimulatedPayment, view,
};
use crate::Timestamp;

/// The largest and default number of payments on a page.
const MAX_PAGE_SIZE: usize = 500;
const MAX_REFERENCE_CHARS: usize = 255;
const STATES: [&str; 8] = [
    "created",
    "started",
    "submitted",
    "capturable",
    "success",
    "failed",
    "cancelled",
    "error",
];
/// Parameters that Pay accepts and this simulation does not.
const NOT_SIMULATED: [&str; 8] = [
    "email",
    "card_brand",
    "cardholder_name",
    "first_digits_card_number",
    "last_digits_card_number",
    "from_settled_date",
    "to_settled_date",
    "agreement_id",
];

/// The parameters of a query.
struct SearchQuery {
    state: Option<String>,
    reference: Option<String>,
    /// Inclusive.
    from: Option<Timestamp>,
    /// Exclusive.
    to: Option<Timestamp>,
    page: usize,
    size: usize,
}

/// One page of the matching payments, in their state at `then`.
pub(super) fn search<'a>(
    payments: impl Iterator<Item = &'a SimulatedPayment>,
    request: &ApiRequest,
    then: Timestamp,
) -> Result<String, PayApiError> {
    let parameters = request.parameters();
    let query = SearchQuery::read(&parameters)?;
    let mut found: Vec<&SimulatedPayment> = payments
        .filter(|payment| query.matches(payment, then))
        .collect();
    found.reverse();
    found.sort_by_key(|payment| std::cmp::Reverse(payment.created()));
    let show = |payment: &&SimulatedPayment| view::payment(payment, &request.origin, then);
    let url = format!("{}/v1/payments", request.origin);
    page(&found, show, &query, &parameters, &url).ok_or(PayApiError::NoPage)
}

/// One page of the refunds of these payments, in their state at `then`.
pub(super) fn search_refunds<'a>(
    payments: impl Iterator<Item = &'a SimulatedPayment>,
    request: &ApiRequest,
    then: Timestamp,
) -> Result<String, PayApiError> {
    let parameters = request.parameters();
    let query = SearchQuery::read(&parameters)?;
    let refunds = payments.flat_map(|payment| view::found_refunds(payment, &request.origin, then));
    let mut found: Vec<(Timestamp, Value)> = refunds
        .filter(|(created, _)| query.has_created(*created))
        .collect();
    found.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
    let show = |(_, refund): &(Timestamp, Value)| refund.clone();
    let url = format!("{}/v1/refunds", request.origin);
    page(&found, show, &query, &parameters, &url).ok_or(PayApiError::NoRefundPage)
}

/// The requested page of `found`, if there is one.
fn page<T>(
    found: &[T],
    show: impl FnMut(&T) -> Value,
    query: &SearchQuery,
    parameters: &[(String, String)],
    url: &str,
) -> Option<String> {
    let last = found.len().div_ceil(query.size).max(1);
    if query.page > last {
        return None;
    }
    let page = found
        .iter()
        .skip((query.page - 1) * query.size)
        .take(query.size);
    let results: Vec<Value> = page.map(show).collect();
    let page = json!({
        "total": found.len(),
        "count": results.len(),
        "page": query.page,
        "results": results,
        "_links": links(parameters, url, query, last),
    });
    Some(page.to_string())
}

impl SearchQuery {
    /// Parses a query, or returns the names of all invalid parameters. An empty parameter counts as
    /// absent. If a parameter occurs several times, the first counts. Unknown names are ignored.
    fn read(parameters: &[(String, String)]) -> Result<Self, PayApiError> {
        let value =
            |name: &str| first_value(parameters, name).filter(|value| !value.trim().is_empty());
        if let Some(name) = NOT_SIMULATED.into_iter().find(|name| value(name).is_some()) {
            return Err(PayApiError::NotSimulated(name.to_owned()));
        }
        let mut invalid = Vec::new();
        let state = checked("state", value("state"), &mut invalid, |text| {
            STATES.contains(&text).then(|| text.to_owned())
        });
        let reference = checked("reference", value("reference"), &mut invalid, |text| {
            (text.chars().count() <= MAX_REFERENCE_CHARS).then(|| text.to_owned())
        });
        let from = checked("from_date", value("from_date"), &mut invalid, date);
        let to = checked("to_date", value("to_date"), &mut invalid, date);
        let page = checked("page", value("page"), &mut invalid, |text| {
            number(text, usize::MAX)
        });
        let size = checked(
            "display_size",
            value("display_size"),
            &mut invalid,
            |text| number(text, MAX_PAGE_SIZE),
        );
        if invalid.is_empty() {
            Ok(Self {
                state,
                reference,
                from,
                to,
                page: page.unwrap_or(1),
                size: size.unwrap_or(MAX_PAGE_SIZE),
            })
        } else {
            Err(PayApiError::Parameters(invalid))
        }
    }

    fn has_created(&self, created: Timestamp) -> bool {
        self.from.is_none_or(|from| created >= from) && self.to.is_none_or(|to| created < to)
    }

    fn matches(&self, payment: &SimulatedPayment, then: Timestamp) -> bool {
        self.has_created(payment.created())
            && self
                .reference
                .as_ref()
                .is_none_or(|query| payment.reference().eq_ignore_ascii_case(query))
            && self
                .state
                .as_ref()
                .is_none_or(|query| payment.state(then).status == query)
    }
}

/// Parses a parameter that is present. If it is invalid, adds its name to `invalid`.
fn checked<T>(
    name: &'static str,
    text: Option<&str>,
    invalid: &mut Vec<&'static str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let value = read(text?);
    if value.is_none() {
        invalid.push(name);
    }
    value
}

/// A whole number from 1 to `max`, only digits.
fn number(text: &str, max: usize) -> Option<usize> {
    let number = text
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())??;
    (1..=max).contains(&number).then_some(number)
}

/// A date with a time and a zone, `Z` or an offset with a colon. Pay accepts no other format.
fn date(text: &str) -> Option<Timestamp> {
    let zone = text.strip_suffix(['Z', 'z']).is_some()
        || text
            .len()
            .checked_sub(6)
            .and_then(|at| text.get(at..))
            .is_some_and(|zone| {
                let zone = zone.as_bytes();
                matches!(zone[0], b'+' | b'-') && zone[3] == b':'
            });
    let timed = matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    if zone && timed {
        Timestamp::parse(text)
    } else {
        None
    }
}

/// Absolute URLs of this page and its neighbours, with all parameters.
fn links(parameters: &[(String, String)], url: &str, query: &SearchQuery, last: usize) -> Value {
    let link = |page: usize| {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(
            parameters
                .iter()
                .filter(|(name, _)| name != "page" && name != "display_size"),
        );
        encoded
            .append_pair("page", &page.to_string())
            .append_pair("display_size", &query.size.to_string());
        json!({"href": format!("{url}?{}", encoded.finish())})
    };
    let mut links =
        json!({"self": link(query.page), "first_page": link(1), "last_page": link(last)});
    if query.page > 1 {
        links["prev_page"] = link(query.page - 1);
    }
    if query.page < last {
        links["next_page"] = link(query.page + 1);
    }
    links
}
