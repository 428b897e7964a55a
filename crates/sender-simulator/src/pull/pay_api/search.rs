//! `GET /v1/payments`: the payments created in a span of time, page by page, the newest first.

use serde_json::{Value, json};

use super::{super::Ask, Payment, Problem, view};
use crate::Timestamp;

/// The most payments on a page, and how many there are unless a query says otherwise.
const LARGEST_PAGE: usize = 500;
const LONGEST_REFERENCE: usize = 255;
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
/// Pay takes these, too.
const NOT_PLAYED: [&str; 8] = [
    "email",
    "card_brand",
    "cardholder_name",
    "first_digits_card_number",
    "last_digits_card_number",
    "from_settled_date",
    "to_settled_date",
    "agreement_id",
];

/// What a query asks for.
struct Wanted {
    state: Option<String>,
    reference: Option<String>,
    /// Belongs to what is wanted.
    from: Option<Timestamp>,
    /// Does not.
    to: Option<Timestamp>,
    page: usize,
    size: usize,
}

/// One page of the payments that a query asks for, as they were at `then`.
pub(super) fn search<'a>(
    payments: impl Iterator<Item = &'a Payment>,
    ask: &Ask,
    then: Timestamp,
) -> Result<String, Problem> {
    let parameters = ask.parameters();
    let wanted = Wanted::read(&parameters)?;
    let mut found: Vec<&Payment> = payments
        .filter(|payment| wanted.is_met_by(payment, then))
        .collect();
    found.reverse();
    found.sort_by_key(|payment| std::cmp::Reverse(payment.created()));
    let last = found.len().div_ceil(wanted.size).max(1);
    if wanted.page > last {
        return Err(Problem::NoPage);
    }
    let page = found
        .iter()
        .skip((wanted.page - 1) * wanted.size)
        .take(wanted.size);
    let results: Vec<Value> = page
        .map(|payment| view::payment(payment, &ask.origin, then))
        .collect();
    let page = json!({
        "total": found.len(),
        "count": results.len(),
        "page": wanted.page,
        "results": results,
        "_links": links(&parameters, &ask.origin, &wanted, last),
    });
    Ok(page.to_string())
}

impl Wanted {
    /// Reads a query, or names everything that is wrong with it. What is empty is as good as absent; of a parameter that
    /// comes several times the first counts; a name that Pay does not know is passed over.
    fn read(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let value = |name: &str| {
            let given = parameters
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str());
            given.filter(|value| !value.trim().is_empty())
        };
        if let Some(name) = NOT_PLAYED.into_iter().find(|name| value(name).is_some()) {
            return Err(Problem::NotPlayed(name.to_owned()));
        }
        let mut wrong = Vec::new();
        let state = checked("state", value("state"), &mut wrong, |text| {
            STATES.contains(&text).then(|| text.to_owned())
        });
        let reference = checked("reference", value("reference"), &mut wrong, |text| {
            (text.chars().count() <= LONGEST_REFERENCE).then(|| text.to_owned())
        });
        let from = checked("from_date", value("from_date"), &mut wrong, date);
        let to = checked("to_date", value("to_date"), &mut wrong, date);
        let page = checked("page", value("page"), &mut wrong, |text| {
            number(text, usize::MAX)
        });
        let size = checked("display_size", value("display_size"), &mut wrong, |text| {
            number(text, LARGEST_PAGE)
        });
        if wrong.is_empty() {
            Ok(Self {
                state,
                reference,
                from,
                to,
                page: page.unwrap_or(1),
                size: size.unwrap_or(LARGEST_PAGE),
            })
        } else {
            Err(Problem::Parameters(wrong))
        }
    }

    fn is_met_by(&self, payment: &Payment, then: Timestamp) -> bool {
        let created = payment.created();
        self.from.is_none_or(|from| created >= from)
            && self.to.is_none_or(|to| created < to)
            && self
                .reference
                .as_ref()
                .is_none_or(|wanted| payment.reference().eq_ignore_ascii_case(wanted))
            && self
                .state
                .as_ref()
                .is_none_or(|wanted| payment.state(then).status == wanted)
    }
}

/// The value of a parameter that is there, or its name among those that are wrong.
fn checked<T>(
    name: &'static str,
    text: Option<&str>,
    wrong: &mut Vec<&'static str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let value = read(text?);
    if value.is_none() {
        wrong.push(name);
    }
    value
}

/// A whole number from 1 to `most`, in digits alone.
fn number(text: &str, most: usize) -> Option<usize> {
    let number = text
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())??;
    (1..=most).contains(&number).then_some(number)
}

/// A date with a time and a zone, `Z` or an offset with a colon; Pay reads no other.
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

/// Absolute URLs of this page and of those around it, with everything that was asked for.
fn links(parameters: &[(String, String)], origin: &str, wanted: &Wanted, last: usize) -> Value {
    let link = |page: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(
            parameters
                .iter()
                .filter(|(name, _)| name != "page" && name != "display_size"),
        );
        query
            .append_pair("page", &page.to_string())
            .append_pair("display_size", &wanted.size.to_string());
        json!({"href": format!("{origin}/v1/payments?{}", query.finish())})
    };
    let mut links =
        json!({"self": link(wanted.page), "first_page": link(1), "last_page": link(last)});
    if wanted.page > 1 {
        links["prev_page"] = link(wanted.page - 1);
    }
    if wanted.page < last {
        links["next_page"] = link(wanted.page + 1);
    }
    links
}
