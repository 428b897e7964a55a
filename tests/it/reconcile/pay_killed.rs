//! A sweep is killed at every one of its steps in turn.

use std::{collections::BTreeSet, sync::Arc};

use pillarbox::reconcile::RunEnd;
use sender_simulator::apis::{
    ScriptedStep,
    pay_api::{PayAccounts, PayEndpoint},
};

use super::{
    fused::CrashPoint,
    machine::minutes,
    pay_api::{LostEvents, PayRig, named},
};

/// A payment of each kind without webhooks, and a run that ends after this number of instants.
async fn rig(length: usize) -> (PayRig, LostEvents, Arc<CrashPoint>) {
    let mut rig = PayRig::new().await;
    let payments = rig.live(15, minutes(9 * 24 * 60));
    let lost = rig.push(&payments, |_| true).await;
    let fuse = CrashPoint::of(length);
    rig.machine.inbox.fuse = Arc::clone(&fuse);
    for endpoint in [
        PayEndpoint::Search,
        PayEndpoint::Payment,
        PayEndpoint::Events,
        PayEndpoint::Refunds,
    ] {
        let burn =
            |fuse: Arc<CrashPoint>| ScriptedStep::then(move |_: &mut PayAccounts| _ = fuse.burn());
        rig.api
            .script(endpoint, (0..30).map(|_| burn(Arc::clone(&fuse))));
    }
    (rig, lost, fuse)
}

#[tokio::test]
async fn wherever_it_dies_a_later_run_names_all_that_is_lost_and_records_each_payment_once() {
    let (whole, lost, fuse) = rig(0).await;
    let (ended, report) = whole.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(named(&report), lost);
    let instants = fuse.burnt();
    assert!(instants > 60, "{instants}");

    for instant in 1..=instants {
        let (rig, lost, fuse) = rig(instant).await;
        let dead = fuse.cut_off(rig.run()).await;
        assert!(dead.is_none(), "at instant {instant} of {instants}");

        rig.clock.pass(minutes(31));
        let (ended, _) = rig.run().await;
        assert!(
            matches!(ended, RunEnd::Completed),
            "at instant {instant}: {ended}"
        );
        let subjects: BTreeSet<String> = lost.iter().map(|(payment, _)| payment.clone()).collect();
        let mut observed = rig.observations().await;
        observed.sort_unstable();
        assert_eq!(
            observed,
            subjects.into_iter().collect::<Vec<_>>(),
            "at instant {instant}"
        );
    }
}
