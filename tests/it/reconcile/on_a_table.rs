//! The same on a table of DynamoDB, whose answers get lost.

use std::time::Duration;

use pillarbox::{
    inbox::{CasOutcome, KvEntry, KvKey, PageRequest, ReadInbox, ReconcileInbox, RowFilter},
    reconcile::{NetworkTransport, RunContext, RunEnd, RunOptions, SenderAccess, run},
    senders::Acceptance,
};

use super::{
    machine::minutes,
    ppns::{BOX, HmrcRig},
};
use test_support::{
    dynamodb::EMULATOR,
    fault_proxy::{FaultProxy, InjectedFault, ProxiedCall},
    table,
};

/// The variables by which the table is reached through a proxy.
fn through(proxy: &FaultProxy) -> Vec<(&'static str, String)> {
    let mut variables = table::variables();
    variables.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
    variables.push(("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.clone()));
    variables
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_write_had_no_reply_counts_as_written() {
    for fault in InjectedFault::ALL {
        let behind = table::fresh("entry").await;
        let plan = move |call: &ProxiedCall<'_>| {
            if call.number == 0 {
                fault
            } else {
                InjectedFault::None
            }
        };
        let proxy = FaultProxy::before(&EMULATOR.endpoint, plan).await;
        let inbox = table::inbox_at(&through(&proxy), behind.table());
        let (name, entry) = (
            KvKey::new("lock", "hmrc"),
            KvEntry {
                version: 7,
                text: "ours".to_owned(),
            },
        );
        assert_eq!(
            inbox.compare_and_swap(&name, None, &entry).await.unwrap(),
            CasOutcome::Stored,
            "{fault:?}"
        );
        assert_eq!(
            behind.kv_get(&name).await.unwrap(),
            Some(entry),
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_are_emptied_into_a_table_whose_answers_get_lost() {
    let rig = HmrcRig::new().await;
    for number in 0..250 {
        rig.add(BOX, minutes(number));
    }
    let faults = [
        InjectedFault::ClosedAfter,
        InjectedFault::FailsAfter,
        InjectedFault::Throttled,
        InjectedFault::ClosedBefore,
        InjectedFault::CutAfter,
    ];
    let behind = table::fresh("emptied").await;
    let plan = move |call: &ProxiedCall<'_>| {
        if call.number % 7 == 3 {
            faults[call.number / 7 % faults.len()]
        } else {
            InjectedFault::None
        }
    };
    let proxy = FaultProxy::before(&EMULATOR.endpoint, plan).await;
    let inbox = table::inbox_at(&through(&proxy), behind.table());
    let context = RunContext {
        inbox: &inbox,
        clock: &*rig.local,
        sleeper: &*rig.clock,
        transport: &NetworkTransport,
        stop: &rig.stop,
        holder: &"a test",
        reporter: &rig.reporter,
        window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
    };
    let outcome = run(
        &rig.source,
        &SenderAccess::Hmrc(rig.access(&[BOX])),
        &RunOptions::default(),
        &context,
    )
    .await;
    assert!(
        matches!(outcome.ended, RunEnd::Completed),
        "{}",
        outcome.ended
    );
    // A row whose answer was lost counts as a duplicate.
    let stats = outcome.stats();
    assert_eq!(
        (
            stats.recorded + stats.duplicates,
            stats.acknowledged,
            rig.left()
        ),
        (250, 250, 0)
    );
    assert!(stats.duplicates > 0, "answers were lost");
    let rows = behind
        .list(&RowFilter::default(), PageRequest::first(1000))
        .await
        .unwrap()
        .rows;
    assert_eq!(rows.len(), 250);
    rig.assert_limits_hold();
}
