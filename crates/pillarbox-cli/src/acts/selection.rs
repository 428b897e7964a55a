//! The notifications that an act on all that match a filter is about.

use super::{Operator, RowAct};
use pillarbox::{
    domain::{Key, State, Timestamp},
    inbox::{AuditInbox, InboxError, OperatorInbox, PageRequest, ReadInbox, Row, RowFilter},
};

/// What an act on many notifications is about.
#[derive(Clone, Debug)]
pub struct ActScope {
    act: RowAct,
    /// Without a state.
    filter: RowFilter,
    /// Every state if there are none.
    states: Vec<State>,
}

impl ActScope {
    /// All that match `filter`. If it names no state, [`RowAct::states`] are meant.
    pub fn new(act: RowAct, filter: RowFilter) -> Self {
        let states = match filter.state {
            Some(state) => vec![state],
            None => act.states().to_vec(),
        };
        Self::in_states(act, filter, states)
    }

    /// All that match `filter`, whose state is ignored, in one of `states`.
    pub fn in_states(act: RowAct, filter: RowFilter, states: Vec<State>) -> Self {
        let filter = RowFilter {
            state: None,
            ..filter
        };
        Self {
            act,
            filter,
            states,
        }
    }

    /// The filters whose rows are listed: one for each state.
    ///
    /// Bytes are erased wherever they are. The ledger of a payment does not name repeats, so the
    /// rows to erase are not looked up in it, and the list is of all sources.
    pub fn listed_filters(&self) -> Vec<RowFilter> {
        let is_in_ledger = self.act == RowAct::Erase && self.filter.subject.is_some();
        let source = self.filter.source.clone().filter(|_| !is_in_ledger);
        let in_state = |state: Option<State>| RowFilter {
            source: source.clone(),
            state,
            ..self.filter.clone()
        };
        match &self.states[..] {
            [] => vec![in_state(None)],
            states => states.iter().map(|state| in_state(Some(*state))).collect(),
        }
    }

    fn includes(&self, row: &Row) -> bool {
        let source = self.filter.source.as_deref();
        source.is_none_or(|source| row.key.source() == source)
    }

    /// The options that a command would take.
    pub fn in_words(&self) -> String {
        let states: Vec<&str> = self.states.iter().map(|state| state.as_str()).collect();
        let filter = &self.filter;
        let options = [
            ("source", filter.source.clone()),
            (
                "state",
                Some(states.join(",")).filter(|states| !states.is_empty()),
            ),
            ("type", filter.event_type.clone()),
            ("subject", filter.subject.clone()),
            ("since", filter.since.map(|since| since.to_string())),
            ("until", filter.until.map(|until| until.to_string())),
            ("kind", filter.kind.map(|kind| kind.as_str().to_owned())),
        ];
        let given = options
            .into_iter()
            .filter_map(|(name, value)| Some(format!("--{name} {}", value?)));
        let words: Vec<String> = given.collect();
        if words.is_empty() {
            "all".to_owned()
        } else {
            words.join(" ")
        }
    }
}

/// The notifications of a scope, as they were when it was read.
#[derive(Debug)]
pub struct RowSelection {
    /// What is done to them.
    pub act: RowAct,
    /// Their scope in words.
    pub scope: String,
    /// Those that the act is possible for, oldest first.
    pub keys: Vec<Key>,
    /// Those that it is not possible for, and why.
    pub refused: Vec<(Key, &'static str)>,
    /// Those of a newer version than this program knows.
    pub newer: Vec<Key>,
    /// Why others cannot be read.
    pub damaged: Vec<InboxError>,
}

impl<I: ReadInbox + OperatorInbox + AuditInbox> Operator<I> {
    /// Finds all notifications of `scope`, `page` rows at a time. Changes nothing.
    pub async fn select(&self, scope: &ActScope, page: usize) -> Result<RowSelection, InboxError> {
        let mut selection = RowSelection {
            act: scope.act,
            scope: scope.in_words(),
            keys: Vec::new(),
            refused: Vec::new(),
            newer: Vec::new(),
            damaged: Vec::new(),
        };
        let mut found: Vec<(Timestamp, Key)> = Vec::new();
        for filter in scope.listed_filters() {
            let mut next = Some(PageRequest::first(page));
            while let Some(request) = next.take() {
                let listed = self.inbox().list(&filter, request).await?;
                let now = self.clock().now();
                for row in listed.rows.into_iter().filter(|row| scope.includes(row)) {
                    match scope.act.is_possible(&row, now) {
                        Ok(()) => found.push((row.received_at, row.key)),
                        Err(why) => selection.refused.push((row.key, why)),
                    }
                }
                selection.newer.extend(listed.newer);
                selection.damaged.extend(listed.damaged);
                next = listed.next.map(|after| PageRequest {
                    limit: page,
                    after: Some(after),
                });
            }
        }
        found.sort();
        selection.keys = found.into_iter().map(|(_, key)| key).collect();
        Ok(selection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_in_words_is_the_options_of_a_command() {
        let none = RowFilter::default;
        let since = Timestamp::parse("2026-03-02T10:00:00Z");
        for (act, filter, expected) in [
            (RowAct::Replay, none(), "--state dead,held"),
            (RowAct::Erase, none(), "all"),
            (
                RowAct::Erase,
                RowFilter {
                    source: Some("pay".to_owned()),
                    subject: Some("p1".to_owned()),
                    ..none()
                },
                "--source pay --subject p1",
            ),
            (
                RowAct::Discard,
                RowFilter {
                    state: Some(State::Held),
                    event_type: Some("card_payment_captured".to_owned()),
                    since,
                    ..none()
                },
                "--state held --type card_payment_captured --since 2026-03-02T10:00:00.000Z",
            ),
        ] {
            assert_eq!(ActScope::new(act, filter).in_words(), expected);
        }
    }
}
