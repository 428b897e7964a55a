//! Converts a query string to the filter of a list and back, so that a list can be shared as a
//! link.

use url::form_urlencoded;

use super::page::PageError;
use pillarbox::{
    domain::State,
    inbox::{ListCursor, RowFilter},
};

/// The filter of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListQuery {
    pub(super) source: String,
    pub(super) state: Option<State>,
    pub(super) event_type: String,
    pub(super) subject: String,
    pub(super) after: Option<ListCursor>,
}

impl ListQuery {
    /// Reads a query. Unknown fields are ignored, empty ones exclude nothing, and of two with one
    /// name the last counts.
    pub(super) fn read(query: &str) -> Result<Self, PageError> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            match &*name {
                "source" => value.clone_into(&mut asked.source),
                "state" if value.is_empty() => asked.state = None,
                "state" => asked.state = Some(State::parse(value).ok_or(PageError::NoState)?),
                "type" => value.clone_into(&mut asked.event_type),
                "subject" => value.clone_into(&mut asked.subject),
                "after" => asked.after = (!value.is_empty()).then(|| ListCursor(value.to_owned())),
                _ => {}
            }
        }
        Ok(asked)
    }

    /// The filter it asks for.
    pub(super) fn filter(&self) -> RowFilter {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        RowFilter {
            source: given(&self.source),
            state: self.state,
            event_type: given(&self.event_type),
            subject: given(&self.subject),
            since: None,
        }
    }

    /// Whether it narrows anything.
    pub(super) fn narrows(&self) -> bool {
        *self
            != Self {
                after: self.after.clone(),
                ..Self::default()
            }
    }

    /// The address of the same list from `after` on.
    pub(super) fn address(&self, after: Option<&ListCursor>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let state = self.state.map_or("", State::as_str);
        let after = after.map_or("", |ListCursor(text)| text);
        for (name, value) in [
            ("source", self.source.as_str()),
            ("state", state),
            ("type", self.event_type.as_str()),
            ("subject", self.subject.as_str()),
            ("after", after),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() {
            "/".to_owned()
        } else {
            format!("/?{query}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_what_was_asked() {
        let asked = ListQuery {
            source: "pay".to_owned(),
            state: Some(State::Held),
            event_type: "a&b=c".to_owned(),
            subject: "é +%#".to_owned(),
            after: Some(ListCursor("4 2".to_owned())),
        };
        let address = asked.address(asked.after.as_ref());
        assert_eq!(
            ListQuery::read(address.strip_prefix("/?").unwrap()).unwrap(),
            asked
        );
        assert_eq!(ListQuery::default().address(None), "/");
    }

    #[test]
    fn an_empty_form_narrows_nothing() {
        for query in [
            "",
            "source=&state=&type=&subject=",
            "subject=+++",
            "colour=red",
            "source=pay&source=",
        ] {
            assert!(!ListQuery::read(query).unwrap().narrows(), "{query}");
        }
        for query in [
            "source=pay",
            "state=dead",
            "state=open",
            "type=x",
            "subject=x",
        ] {
            assert!(ListQuery::read(query).unwrap().narrows(), "{query}");
        }
        assert!(matches!(
            ListQuery::read("state=lost"),
            Err(PageError::NoState)
        ));
    }
}
