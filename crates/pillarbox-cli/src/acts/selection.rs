//! Selects the notifications of an act on all that match a filter.

use super::{Operator, RowAct};
use pillarbox::{
    domain::{Key, State, Timestamp},
    inbox::{AuditInbox, InboxError, OperatorInbox, PageRequest, ReadInbox, Row, RowFilter},
};

/// The act, and which notifications it covers.
#[derive(Clone, Debug)]
pub struct ActScope {
    act: RowAct,
    /// Its state is not set.
    filter: RowFilter,
    /// Empty for every state.
    states: Vec<State>,
}

impl ActScope {
    /// All that match `filter`. If it has no state, those in [`RowAct::states`].
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
    /// The ledger of a payment does not have repeats, whose bytes must be erased, too. So the rows
    /// to erase are not looked up in the ledger: the filter has no source.
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

    /// The equivalent options of a command, for the audit trail.
    pub fn as_options(&self) -> String {
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
        let options: Vec<String> = given.collect();
        if options.is_empty() {
            "all".to_owned()
        } else {
            options.join(" ")
        }
    }
}

/// The notifications of a scope when it was read.
#[derive(Debug)]
pub struct RowSelection {
    /// The act.
    pub act: RowAct,
    /// The scope as options.
    pub scope: String,
    /// Those that the act can change, oldest first.
    pub keys: Vec<Key>,
    /// Those that it cannot change, and why.
    pub refused: Vec<(Key, &'static str)>,
    /// Those that a newer version of this program wrote.
    pub newer: Vec<Key>,
    /// The errors of those that are damaged.
    pub damaged: Vec<InboxError>,
}

impl<I: ReadInbox + OperatorInbox + AuditInbox> Operator<I> {
    /// Finds all notifications of `scope`, `page` rows at a time. Changes nothing.
    pub async fn select(&self, scope: &ActScope, page: usize) -> Result<RowSelection, InboxError> {
        let mut selection = RowSelection {
            act: scope.act,
            scope: scope.as_options(),
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
    fn a_scope_is_described_by_the_options_of_a_command() {
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
            assert_eq!(ActScope::new(act, filter).as_options(), expected);
        }
    }
}
