//! Which calls to the table a fault affects: those that write one row.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use test_support::fault_proxy::InjectedFault;

use super::{recorder::HistoryRecorder, table_calls::TableCall};

/// The faults of the rows that have any.
#[derive(Default)]
pub(crate) struct FaultPlan {
    planned: Mutex<HashMap<String, PlannedFault>>,
    injected: Mutex<BTreeMap<String, u64>>,
}

/// A fault of the next calls for a row.
#[derive(Clone, Copy)]
pub(crate) struct PlannedFault {
    pub(crate) fault: InjectedFault,
    /// How many calls get it.
    pub(crate) times: u32,
    /// Whether those of attempts, and not those that store.
    pub(crate) is_of_attempt: bool,
}

impl FaultPlan {
    pub(crate) fn set(&self, key: &str, planned: PlannedFault) {
        let mut all = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key.to_owned(), planned);
    }

    pub(crate) fn clear(&self, key: &str) {
        let mut all = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(key);
    }

    /// Lets every call through from now on.
    pub(crate) fn end(&self) {
        let mut all = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        all.clear();
    }

    /// The fault of this call.
    pub(crate) fn fault_of(&self, call: &TableCall, recorder: &HistoryRecorder) -> InjectedFault {
        let fault = {
            let mut all = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            let planned = all.get_mut(call.row_key());
            let wanted = |planned: &&mut PlannedFault| {
                planned.times > 0
                    && call.writes_a_row()
                    && planned.is_of_attempt == call.is_of_attempt()
            };
            let Some(planned) = planned.filter(wanted) else {
                return InjectedFault::None;
            };
            planned.times -= 1;
            planned.fault
        };
        if call.is_of_attempt() {
            recorder.disturbed(call.row_key(), "table");
        }
        let mut injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        *injected.entry(format!("{fault:?}")).or_default() += 1;
        fault
    }

    /// How often each fault was injected.
    pub(crate) fn injected(&self) -> BTreeMap<String, u64> {
        let injected = self.injected.lock();
        injected.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
