//! Converts a query string to the filter of a list and back, so that a list can be shared as a
//! link.

use jiff::civil;
use url::form_urlencoded;

use super::page::PageError;
use pillarbox::{
    domain::{State, Timestamp},
    inbox::{ListCursor, RowFilter},
    senders::SenderKind,
};

/// The address of the list.
const LIST_ADDRESS: &str = "/notifications";

/// The filter of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListPageQuery {
    pub(super) source: String,
    pub(super) kind: Option<SenderKind>,
    pub(super) state: Option<State>,
    pub(super) event_type: String,
    pub(super) subject: String,
    /// As it was entered: a day, or a time.
    pub(super) from: String,
    /// As it was entered: a day, which is included, or a time.
    pub(super) to: String,
    pub(super) after: Option<ListCursor>,
    /// Whether a table may be read whole.
    pub(super) scan: bool,
    /// The times that `from` and `to` mean.
    pub(super) span: (Option<Timestamp>, Option<Timestamp>),
}

impl ListPageQuery {
    /// Reads a query. Unknown fields are ignored, empty ones exclude nothing, and of two with one
    /// name the last counts.
    pub(super) fn read(query: &str) -> Result<Self, PageError> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            match &*name {
                "source" => value.clone_into(&mut parsed.source),
                "kind" => parsed.kind = SenderKind::parse(value),
                "state" if value.is_empty() => parsed.state = None,
                "state" => parsed.state = Some(State::parse(value).ok_or(PageError::NoState)?),
                "type" => value.clone_into(&mut parsed.event_type),
                "subject" => value.clone_into(&mut parsed.subject),
                "from" => value.clone_into(&mut parsed.from),
                "to" => value.clone_into(&mut parsed.to),
                "after" => parsed.after = (!value.is_empty()).then(|| ListCursor(value.to_owned())),
                "scan" => parsed.scan = value == "yes",
                _ => {}
            }
        }
        parsed.span = (bound(&parsed.from, false)?, bound(&parsed.to, true)?);
        Ok(parsed)
    }

    /// The query for the rows of `filter`.
    pub(super) fn of(filter: &RowFilter) -> Self {
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        let time = |given: Option<Timestamp>| given.map_or_else(String::new, |at| at.to_string());
        Self {
            source: text(&filter.source),
            kind: filter.kind,
            state: filter.state,
            event_type: text(&filter.event_type),
            subject: text(&filter.subject),
            from: time(filter.since),
            to: time(filter.until),
            span: (filter.since, filter.until),
            ..Self::default()
        }
    }

    /// The filter of the list.
    pub(super) fn filter(&self) -> RowFilter {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        RowFilter {
            source: given(&self.source),
            kind: self.kind,
            state: self.state,
            event_type: given(&self.event_type),
            subject: given(&self.subject),
            since: self.span.0,
            until: self.span.1,
        }
    }

    /// Whether it excludes any rows.
    pub(super) fn narrows(&self) -> bool {
        *self
            != Self {
                after: self.after.clone(),
                scan: self.scan,
                ..Self::default()
            }
    }

    /// Whether a table finds the rows without reading all of it: open, dead and held rows are in
    /// its index, and those of a payment in a ledger.
    pub(super) fn is_indexed(&self) -> bool {
        let is_pending = self
            .state
            .is_some_and(|state| state.index_partition().is_some());
        is_pending || !(self.source.is_empty() || self.subject.is_empty())
    }

    /// The address of the same list from `after` on.
    pub(super) fn address(&self, after: Option<&ListCursor>) -> String {
        self.address_at(LIST_ADDRESS, after)
    }

    /// The address of another page with the same filter.
    pub(super) fn address_at(&self, page: &str, after: Option<&ListCursor>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let state = self.state.map_or("", State::as_str);
        let kind = self.kind.map_or("", SenderKind::as_str);
        let after = after.map_or("", |ListCursor(text)| text);
        for (name, value) in [
            ("source", self.source.as_str()),
            ("kind", kind),
            ("state", state),
            ("type", self.event_type.as_str()),
            ("subject", self.subject.as_str()),
            ("from", self.from.as_str()),
            ("to", self.to.as_str()),
            ("scan", if self.scan { "yes" } else { "" }),
            ("after", after),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() {
            page.to_owned()
        } else {
            format!("{page}?{query}")
        }
    }
}

/// The time of a date in a form. Of a day this is its beginning, or its end if the day is included.
fn bound(given: &str, is_end: bool) -> Result<Option<Timestamp>, PageError> {
    if given.is_empty() {
        return Ok(None);
    }
    if let Ok(day) = given.parse::<civil::Date>()
        && !given.contains(['T', 't', ' ', ':'])
    {
        let day = if is_end {
            day.tomorrow().map_err(|_| PageError::NoDate)?
        } else {
            day
        };
        return Timestamp::parse(&format!("{day}T00:00:00Z"))
            .map(Some)
            .ok_or(PageError::NoDate);
    }
    // Browsers leave out the seconds.
    let time = Timestamp::parse(given).or_else(|| Timestamp::parse(&format!("{given}:00Z")));
    time.map(Some).ok_or(PageError::NoDate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_the_query_that_made_it() {
        let expected = ListPageQuery {
            source: "pay".to_owned(),
            state: Some(State::Held),
            event_type: "a&b=c".to_owned(),
            subject: "é +%#".to_owned(),
            kind: Some(SenderKind::HMRC),
            from: "2026-03-02".to_owned(),
            to: "2026-03-02T10:15".to_owned(),
            after: Some(ListCursor("4 2".to_owned())),
            scan: true,
            span: (
                Timestamp::parse("2026-03-02T00:00:00Z"),
                Timestamp::parse("2026-03-02T10:15:00Z"),
            ),
        };
        let address = expected.address(expected.after.as_ref());
        let query = address.strip_prefix("/notifications?").unwrap();
        assert_eq!(ListPageQuery::read(query).unwrap(), expected);
        assert_eq!(ListPageQuery::default().address(None), "/notifications");
    }

    #[test]
    fn a_day_is_included_and_a_time_is_a_bound() {
        for (given, is_end, expected) in [
            ("2026-03-02", false, "2026-03-02T00:00:00.000Z"),
            ("2026-03-02", true, "2026-03-03T00:00:00.000Z"),
            ("2026-03-02T10:15", true, "2026-03-02T10:15:00.000Z"),
            ("2026-03-02T10:15:30Z", false, "2026-03-02T10:15:30.000Z"),
            ("2026-03-02T10:15:30", false, "2026-03-02T10:15:30.000Z"),
        ] {
            let found = bound(given, is_end).unwrap().unwrap();
            assert_eq!(found.to_string(), expected, "{given}");
        }
        assert!(bound("", true).unwrap().is_none());
        for wrong in ["soon", "2026-13-01", "2026-03-32", "9999-12-31", "<script>"] {
            let read = bound(wrong, true);
            assert!(matches!(read, Err(PageError::NoDate)), "{wrong}");
        }
    }

    #[test]
    fn an_empty_form_narrows_nothing() {
        for query in [
            "",
            "source=&state=&type=&subject=",
            "subject=+++",
            "colour=red",
            "source=pay&source=",
            "kind=unknown",
            "scan=yes",
        ] {
            assert!(!ListPageQuery::read(query).unwrap().narrows(), "{query}");
        }
        for query in [
            "source=pay",
            "state=dead",
            "state=open",
            "type=x",
            "subject=x",
        ] {
            assert!(ListPageQuery::read(query).unwrap().narrows(), "{query}");
        }
        assert!(matches!(
            ListPageQuery::read("state=lost"),
            Err(PageError::NoState)
        ));
    }
}
