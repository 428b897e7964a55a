//! A run is killed at every one of its steps in turn.

use std::sync::Arc;

use pillarbox::reconcile::RunEnd;
use sender_simulator::apis::{
    ScriptedStep,
    ppns::{ListDefect, PpnsBoxes, PpnsEndpoint},
};

use super::{
    fused::CrashPoint,
    machine::minutes,
    ppns::{BOX, HmrcRig, SECOND_BOX},
};

/// Two boxes, both kinds of notifications, one that cannot be acknowledged, and a run that ends
/// after this number of instants.
async fn rig(length: usize) -> (HmrcRig, Arc<CrashPoint>) {
    let mut rig = HmrcRig::new().await;
    for number in 0..3 {
        rig.add(BOX, minutes(number));
        rig.add(BOX, minutes(600 + number));
        rig.add(SECOND_BOX, minutes(number));
    }
    rig.put(BOX, minutes(5), |it| it.with_defect(ListDefect::NoId));
    let fuse = CrashPoint::of(length);
    rig.machine.inbox.fuse = Arc::clone(&fuse);
    for endpoint in [
        PpnsEndpoint::Token,
        PpnsEndpoint::List,
        PpnsEndpoint::Acknowledge,
    ] {
        // HMRC has processed the call, and the response is lost.
        let burn =
            |fuse: Arc<CrashPoint>| ScriptedStep::then(move |_: &mut PpnsBoxes| _ = fuse.burn());
        rig.ppns
            .script(endpoint, (0..9).map(|_| burn(Arc::clone(&fuse))));
    }
    (rig, fuse)
}

#[tokio::test]
async fn wherever_it_dies_nothing_is_acknowledged_that_is_not_stored_and_a_later_run_finishes() {
    let (whole, fuse) = rig(0).await;
    assert!(matches!(
        whole.run(&[BOX, SECOND_BOX]).await.0,
        RunEnd::Completed
    ));
    let instants = fuse.burnt();
    assert!(instants > 90, "{instants}");

    for instant in 1..=instants {
        let (rig, fuse) = rig(instant).await;
        let dead = fuse.cut_off(rig.run(&[BOX, SECOND_BOX])).await;
        assert!(dead.is_none(), "at instant {instant} of {instants}");
        rig.assert_nothing_is_lost().await;

        rig.clock.pass(minutes(5));
        let (ended, _) = rig.run(&[BOX, SECOND_BOX]).await;
        assert!(
            matches!(ended, RunEnd::Completed),
            "at instant {instant}: {ended}"
        );
        assert_eq!(
            (rig.left(), rig.rows().await.len()),
            (1, 10),
            "at instant {instant}"
        );
        rig.assert_nothing_is_lost().await;
        rig.assert_limits_hold();
    }
}
