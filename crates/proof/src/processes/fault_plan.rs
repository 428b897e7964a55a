//! The planned faults of calls that write a row.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use test_support::fault_proxy::InjectedFault;

use super::{recorder::HistoryRecorder, table_calls::TableCall};
use crate::sync::lock;

/// The planned faults, by the key of the row.
#[derive(Default)]
pub(crate) struct FaultPlan {
    planned: Mutex<HashMap<String, PlannedFault>>,
    injected: Mutex<BTreeMap<String, u64>>,
}

/// A fault of the next calls for a row.
#[derive(Clone, Copy)]
pub(crate) struct PlannedFault {
    pub(crate) fault: InjectedFault,
    /// The number of calls that get this fault.
    pub(crate) times: u32,
    /// Whether it affects the calls of attempts, instead of those that store.
    pub(crate) is_of_attempt: bool,
}

impl FaultPlan {
    pub(crate) fn set(&self, key: &str, planned: PlannedFault) {
        lock(&self.planned).insert(key.to_owned(), planned);
    }

    pub(crate) fn clear(&self, key: &str) {
        lock(&self.planned).remove(key);
    }

    /// Injects no more faults.
    pub(crate) fn end(&self) {
        lock(&self.planned).clear();
    }

    /// The fault of this call.
    pub(crate) fn fault_of(&self, call: &TableCall, recorder: &HistoryRecorder) -> InjectedFault {
        let fault = {
            let mut all = lock(&self.planned);
            let planned = all.get_mut(call.row_key());
            let is_affected = |planned: &&mut PlannedFault| {
                planned.times > 0
                    && call.writes_a_row()
                    && planned.is_of_attempt == call.is_of_attempt()
            };
            let Some(planned) = planned.filter(is_affected) else {
                return InjectedFault::None;
            };
            planned.times -= 1;
            planned.fault
        };
        if call.is_of_attempt() {
            recorder.fault_injected(call.row_key(), "table");
        }
        *lock(&self.injected)
            .entry(format!("{fault:?}"))
            .or_default() += 1;
        fault
    }

    /// The number of injections of each fault.
    pub(crate) fn injected(&self) -> BTreeMap<String, u64> {
        lock(&self.injected).clone()
    }
}
