//! Checks the final rows, and finds missing messages.

use std::collections::HashSet;

use super::{HistoryChecker, is_payment, row::RowLife};
use crate::history::{RowState, Sha256Digest};

impl<'a> HistoryChecker<'a> {
    pub(super) fn row_remaining(
        &mut self,
        key: &'a str,
        state: RowState,
        digest: Option<Sha256Digest>,
    ) {
        self.remaining.insert(key);
        let row = self.rows.entry(key).or_default();
        let (known, stored, erased) = (row.state, row.digest, state == RowState::Discarded);
        self.require(state != RowState::Open, "I2", || {
            format!("{key} is still open")
        });
        self.require(known == Some(state), "I2", || {
            format!("{key} is {state:?} at the end, but its last recorded state is {known:?}")
        });
        self.require(digest == stored || erased && digest.is_none(), "I6", || {
            format!("{key} does not have the bytes that were stored")
        });
    }

    pub(super) fn finish(&mut self) {
        let lost: Vec<String> = self
            .rows
            .iter()
            .filter(|(key, row)| row.was_stored() && !row.is_gone && !self.remaining.contains(*key))
            .map(|(key, _)| format!("{key} was stored and is missing"))
            .collect();
        for text in lost {
            self.report("I2", text);
        }
        let stored = self.rows.iter().filter(|(key, _)| is_payment(key));
        let payments: HashSet<u64> = stored.filter_map(|(_, row)| row.content).collect();
        let mut missing = Vec::new();
        for ((source, id), message) in &self.messages {
            let key = format!("{source}:{id}");
            let is_stored = self.rows.get(key.as_str()).is_some_and(RowLife::was_stored);
            // The same event may have been received under another id.
            let is_observed = message.payment.is_some_and(|payment| {
                let (first, after) = (
                    format!("pay:observed-{payment}-"),
                    format!("pay:observed-{payment}."),
                );
                let mut observed = self.rows.range(first.as_str()..after.as_str());
                payments.contains(&message.content) || observed.any(|(_, row)| row.was_stored())
            });
            if message.acknowledged == Some(true) && !is_stored {
                missing.push(("I1", format!("{key} is acknowledged but not stored")));
            } else if self.history.is_reconciled && !is_stored && !is_observed {
                missing.push((
                    "I10",
                    format!("{key} is neither stored nor reported missing"),
                ));
            }
        }
        for (rule, text) in missing {
            self.report(rule, text);
        }
    }
}
