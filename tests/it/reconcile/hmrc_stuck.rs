//! Notifications that cannot be acknowledged stay in their box, and hide no others.

use std::time::Duration;

use pillarbox::{domain::State, reconcile::RunEnd};
use sender_simulator::apis::{
    ApiResponse, ScriptedStep,
    ppns::{ListDefect, PpnsEndpoint, PpnsError},
};

use super::{
    machine::minutes,
    ppns::{BOX, HmrcRig},
};

#[tokio::test]
async fn an_element_that_can_not_be_read_is_held_and_acknowledged_if_it_has_an_id() {
    let rig = HmrcRig::new().await;
    rig.put(BOX, minutes(9), |it| it.with_defect(ListDefect::BrokenDate));
    rig.put(BOX, minutes(8), |it| it.with_defect(ListDefect::NoId));
    rig.put(BOX, minutes(7), |it| {
        it.with_defect(ListDefect::MessageNotText)
    });
    rig.add(BOX, minutes(6));
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (
            boxes[0].missed,
            boxes[0].held,
            boxes[0].acknowledged,
            boxes[0].stuck
        ),
        (2, 2, 3, 1)
    );
    assert_eq!(
        (boxes[0].oldest, rig.left()),
        (
            Some(rig.now().minus(rig.now().since(boxes[0].oldest.unwrap()))),
            1
        )
    );

    let rows = rig.rows().await;
    let unreadable: Vec<_> = rows.iter().filter(|row| row.state == State::Held).collect();
    assert_eq!(unreadable.len(), 2);
    assert!(
        unreadable
            .iter()
            .all(|row| row.is_unreadable() && row.key.as_str().starts_with("hmrc:sha256-"))
    );

    let (_, again) = rig.run(&[BOX]).await;
    assert_eq!(
        (again[0].held, again[0].duplicates, again[0].stuck),
        (0, 1, 1),
        "it is kept once"
    );
}

#[tokio::test]
async fn a_page_of_stuck_notifications_hides_no_others() {
    let rig = HmrcRig::new().await;
    for number in 0..350 {
        let flaw = if number < 250 {
            Some(ListDefect::NoId)
        } else {
            None
        };
        rig.put(BOX, minutes(350 - number), |mut it| {
            it.defect = flaw;
            it
        });
    }
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (boxes[0].acknowledged, boxes[0].stuck, rig.left()),
        (100, 250, 250)
    );
    rig.assert_limits_hold();
}

#[tokio::test]
async fn a_millisecond_full_of_stuck_notifications_hides_no_others() {
    let rig = HmrcRig::new().await;
    for _ in 0..230 {
        rig.put(BOX, minutes(9), |it| it.with_defect(ListDefect::NoId));
    }
    for _ in 0..30 {
        rig.add(BOX, minutes(9));
    }
    rig.add(BOX, minutes(1));
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (boxes[0].acknowledged, boxes[0].stuck, rig.left()),
        (31, 230, 230)
    );
    rig.assert_limits_hold();
}

#[tokio::test]
async fn where_hmrc_refuses_longer_lists_the_rest_of_that_millisecond_is_passed_over() {
    let rig = HmrcRig::new().await;
    for _ in 0..130 {
        rig.put(BOX, minutes(9), |it| it.with_defect(ListDefect::NoId));
    }
    rig.add(BOX, minutes(1));
    rig.ppns.script(
        PpnsEndpoint::List,
        [
            ScriptedStep::Usual,
            ScriptedStep::Usual,
            ScriptedStep::instead(PpnsError::CountParameter),
        ],
    );
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((boxes[0].acknowledged, boxes[0].listed), (1, 101));
}

#[tokio::test]
async fn a_run_that_ends_among_stuck_notifications_resumes_after_them() {
    let rig = HmrcRig::new().await;
    for number in 0..900 {
        rig.put(BOX, Duration::from_secs(5000 - number), |it| {
            it.with_defect(ListDefect::NoId)
        });
    }
    rig.add(BOX, minutes(1));
    let mut runs = 0;
    while rig.acknowledged().is_empty() {
        runs += 1;
        assert!(
            runs <= 5,
            "with thirty seconds each, no run would get there from the beginning"
        );
        rig.run_as(&rig.access(&[BOX]), &rig.within(Duration::from_secs(30)))
            .await;
        rig.clock.pass(minutes(5));
    }
    assert_eq!(rig.left(), 900);
}

#[tokio::test]
async fn a_run_ends_even_if_hmrc_lists_acknowledged_notifications_again() {
    let rig = HmrcRig::new().await;
    for number in 0..150 {
        rig.add(BOX, minutes(number));
    }
    rig.ppns
        .refuse_next(2, PpnsEndpoint::Acknowledge, ApiResponse::empty(204));
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (boxes[0].listed, boxes[0].acknowledged, rig.left()),
        (150, 150, 150)
    );
    rig.run(&[BOX]).await;
    assert_eq!(
        (rig.left(), rig.rows().await.len()),
        (0, 150),
        "the next run reports it again"
    );
}
