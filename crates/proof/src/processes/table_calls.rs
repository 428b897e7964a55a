//! Parses the calls to the table that the proxy in front of it observes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pillarbox::domain::State;
use serde_json::Value;
use test_support::{
    dynamodb::EMULATOR,
    fault_proxy::{FaultProxy, InjectedFault, ProxiedCall},
};

use super::{
    fault_plan::FaultPlan,
    point::{KillPoint, KillTrap},
    recorder::{HeldClaim, HistoryRecorder},
};
use crate::history::RowState;

/// A call to the table.
pub(crate) struct TableCall {
    key: String,
    body: Value,
    operation: TableOperation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableOperation {
    Put,
    Claim,
    Ledger,
    Mark,
    Query,
    Other,
}

impl TableCall {
    pub(crate) fn of(call: &ProxiedCall<'_>) -> Self {
        let body: Value = serde_json::from_slice(call.body).unwrap_or_default();
        let pk = ["/Item/pk/S", "/Key/pk/S"]
            .iter()
            .find_map(|path| body.pointer(path)?.as_str());
        let key = pk.unwrap_or_default().to_owned();
        let sets = |name: &str| set_value(&body, name).is_some();
        let operation = match call.operation {
            "PutItem" => TableOperation::Put,
            "UpdateItem" if key.starts_with("~subject:") => TableOperation::Ledger,
            "UpdateItem" if key.starts_with('~') => TableOperation::Other,
            "UpdateItem" if sets("lease") => TableOperation::Claim,
            "UpdateItem" if sets("state") => TableOperation::Mark,
            "Query" => TableOperation::Query,
            _ => TableOperation::Other,
        };
        Self {
            key,
            body,
            operation,
        }
    }

    /// The key of the row, also for a part of its body.
    pub(crate) fn row_key(&self) -> &str {
        let part = self.key.strip_prefix("~body:");
        let part = part.and_then(|rest| rest.rsplitn(3, ':').nth(2));
        part.unwrap_or(&self.key)
    }

    /// The points before and after this call takes effect.
    fn points(&self) -> Option<(KillPoint, KillPoint)> {
        Some(match self.operation {
            TableOperation::Put => (KillPoint::PutSeen, KillPoint::PutDone),
            TableOperation::Claim => (KillPoint::ClaimSeen, KillPoint::ClaimDone),
            TableOperation::Ledger => (KillPoint::LedgerSeen, KillPoint::LedgerDone),
            TableOperation::Mark => (KillPoint::MarkSeen, KillPoint::MarkDone),
            TableOperation::Query => (KillPoint::SweepQuery, KillPoint::SweepQuery),
            TableOperation::Other => return None,
        })
    }

    /// Whether the call stores, claims or marks a row.
    pub(crate) fn writes_a_row(&self) -> bool {
        self.operation == TableOperation::Put || self.is_of_attempt()
    }

    /// Whether the call claims a row or writes the outcome of an attempt.
    pub(crate) fn is_of_attempt(&self) -> bool {
        matches!(self.operation, TableOperation::Claim | TableOperation::Mark)
    }

    /// Whether the stored row shows that this write took effect before. Its reply was lost, so it
    /// may not be recorded yet.
    fn was_done(&self, reply: &Bytes) -> bool {
        let reply: Value = serde_json::from_slice(reply).unwrap_or_default();
        let Some(stored) = reply.get("Item") else {
            return false;
        };
        match self.operation {
            TableOperation::Put => stored.get("digest") == self.body.pointer("/Item/digest"),
            TableOperation::Claim => {
                let lease = set_value(&self.body, "lease");
                lease.is_some() && stored.get("lease") == lease
            }
            TableOperation::Mark => {
                let state = set_value(&self.body, "state");
                let attempt = self.body.pointer("/ExpressionAttributeValues/:attempt");
                stored.get("lease").is_none()
                    && stored.get("state") == state
                    && stored.get("attempts") == attempt
            }
            _ => false,
        }
    }

    /// Records the effect of the call.
    fn record(&self, recorder: &HistoryRecorder, process: usize, reply: (u16, &Bytes)) {
        let is_new = reply.0 == 200;
        if self.key.starts_with('~') || !is_new && !self.was_done(reply.1) {
            return;
        }
        match self.operation {
            TableOperation::Put => {
                let digest = self.body.pointer("/Item/digest").and_then(bytes_of);
                let digest = digest.and_then(|bytes| bytes.try_into().ok());
                let held = self.body.pointer("/Item/state/S") == Some(&Value::from("held"));
                let digest = digest.unwrap_or_default();
                recorder.stored(&self.key, digest, held.then_some("held"), is_new);
            }
            TableOperation::Claim => {
                let lease = set_value(&self.body, "lease").cloned().unwrap_or_default();
                let claim = HeldClaim {
                    attempt: number(set_value(&self.body, "attempts")),
                    lease: lease.pointer("/M/id").map_or(0, lease_id),
                    process,
                };
                let until: i64 = number(lease.pointer("/M/until"));
                recorder.claimed(&self.key, claim, recorder.at(until));
            }
            TableOperation::Mark => {
                let value = |name: &str| {
                    self.body
                        .pointer(&format!("/ExpressionAttributeValues/{name}"))
                };
                let attempt: u32 = number(value(":attempt"));
                let lease = value(":id").map_or(0, lease_id);
                let text = |name: &str| {
                    let value = set_value(&self.body, name).and_then(|value| value["S"].as_str());
                    value.unwrap_or_default()
                };
                let state = State::parse(text("state")).map_or(RowState::Open, RowState::from);
                recorder.marked(&self.key, (attempt, lease), state, text("reason"));
            }
            _ => {}
        }
    }
}

/// A proxy in front of the emulator that records the calls of a process, kills it at the planned
/// point, and injects the planned faults.
pub(crate) async fn observed_table(
    recorder: &Arc<HistoryRecorder>,
    trap: &Arc<KillTrap>,
    process: &Arc<AtomicUsize>,
    plan: &Arc<FaultPlan>,
) -> FaultProxy {
    let (before, after) = (Arc::clone(trap), Arc::clone(trap));
    let (recorder, process) = (Arc::clone(recorder), Arc::clone(process));
    let (plan, disturbed) = (Arc::clone(plan), Arc::clone(&recorder));
    FaultProxy::observed(
        &EMULATOR.endpoint,
        move |call| {
            let call = TableCall::of(call);
            match call.points() {
                Some((point, _)) if before.reached(point) => InjectedFault::ClosedBefore,
                _ => plan.fault_of(&call, &disturbed),
            }
        },
        move |call, status, reply| {
            let call = TableCall::of(call);
            call.record(&recorder, process.load(Ordering::SeqCst), (status, reply));
            if let Some((seen, done)) = call.points()
                && seen != done
            {
                after.reached(done);
            }
        },
    )
    .await
}

/// The value to which an update sets an attribute.
fn set_value<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    let names = body.get("ExpressionAttributeNames")?.as_object()?;
    let is_set = |word: &&String| word.starts_with("#s") && word[2..].parse::<u32>().is_ok();
    let known = names
        .iter()
        .find(|(word, known)| is_set(word) && *known == name);
    let value = known?.0.replacen('#', ":", 1);
    body.get("ExpressionAttributeValues")?.get(&value)
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(value["B"].as_str()?).ok()
}

fn lease_id(value: &Value) -> u64 {
    let bytes = bytes_of(value).and_then(|bytes| bytes.try_into().ok());
    u64::from_be_bytes(bytes.unwrap_or_default())
}

fn number<T: std::str::FromStr + Default>(value: Option<&Value>) -> T {
    let text = value.and_then(|value| value["N"].as_str());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(operation: &str, body: &Value) -> TableCall {
        let body = Bytes::from(body.to_string());
        TableCall::of(&ProxiedCall {
            operation,
            number: 0,
            body: &body,
        })
    }

    #[test]
    fn a_claim_and_a_mark_differ_in_the_attributes_that_they_set() {
        let claim = json!({
            "Key": {"pk": {"S": "pay:m1"}},
            "ExpressionAttributeNames": {"#state": "state", "#s0": "attempts", "#s1": "lease"},
            "ExpressionAttributeValues": {
                ":state": {"S": "recorded"}, ":s0": {"N": "1"},
                ":s1": {"M": {"id": {"B": "AAAAAAAAAAc="}, "until": {"N": "5000"}}}},
        });
        assert_eq!(call("UpdateItem", &claim).operation, TableOperation::Claim);
        let mark = json!({
            "Key": {"pk": {"S": "pay:m1"}},
            "ExpressionAttributeNames": {"#state": "state", "#s0": "state"},
            "ExpressionAttributeValues": {
                ":attempt": {"N": "1"}, ":id": {"B": "AAAAAAAAAAc="}, ":s0": {"S": "delivered"}},
        });
        let (recorder, reply) = (HistoryRecorder::new(true), Bytes::new());
        call("UpdateItem", &claim).record(&recorder, 1, (200, &reply));
        call("UpdateItem", &mark).record(&recorder, 1, (200, &reply));
        call("UpdateItem", &mark).record(&recorder, 1, (400, &reply));
        let records = recorder.take_history().0.records;
        let text = format!("{records:?}");
        assert_eq!(records.len(), 2, "{text}");
        assert!(text.contains("attempt: 1, lease: 7, until:"), "{text}");
        assert!(
            text.contains("attempt: 1, lease: 7, state: Delivered"),
            "{text}"
        );
    }

    #[test]
    fn a_part_of_a_body_belongs_to_its_row() {
        let put = json!({"Item": {"pk": {"S": "~body:hmrc:m:1:00ff:3"}}});
        assert_eq!(call("PutItem", &put).row_key(), "hmrc:m:1");
    }
}
