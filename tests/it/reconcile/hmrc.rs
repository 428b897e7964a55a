//! What is in the boxes gets into the inbox, and out of the boxes.

use std::{collections::BTreeSet, time::Duration};

use pillarbox::{
    domain::{Origin, State},
    reconcile::{ReconcileStats, RunEnd, RunOptions, hmrc::BoxPosition},
};
use sender_simulator::apis::ppns::BoxNotificationStatus;

use super::{
    machine::minutes,
    ppns::{BOX, HmrcRig, SECOND_BOX, THIRD_BOX},
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Adds `count` notifications over a week in which the receiver was down. Returns how many HMRC
/// still pushes.
fn a_week_of_outage(rig: &HmrcRig, boxes: &[&str], count: u64) -> usize {
    let spread = u64::try_from(WEEK.as_millis()).unwrap() / count;
    for number in 0..count {
        let ago = Duration::from_millis(spread * (count - number));
        rig.add(boxes[usize::try_from(number).unwrap() % boxes.len()], ago);
    }
    rig.ppns.with(|boxes| boxes.count_by_status()).pending
}

/// How many lists it takes to see that there is nothing left: a page that isn't full is the last.
fn lists(waiting: usize) -> usize {
    waiting / 100 + 1
}

#[tokio::test]
async fn a_week_of_outage_is_recovered_in_the_fewest_calls() {
    let rig = HmrcRig::new().await;
    let pending = a_week_of_outage(&rig, &[BOX], 5000);
    let failed = 5000 - pending;
    assert!(
        pending > 100 && failed > 4000,
        "both sorts take more than one page: {pending}"
    );
    let began = rig.now();
    let (ended, boxes) = rig.run(&[BOX]).await;

    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(rig.left(), 0);
    let rows = rig.rows().await;
    assert_eq!(rows.len(), 5000, "every one once");
    assert!(
        rows.iter()
            .all(|row| (row.state, row.origin) == (State::Recorded, Origin::Pull))
    );
    let expected = lists(pending) + lists(failed);
    assert_eq!(
        rig.counts(),
        [1, expected, pending.div_ceil(100) + failed.div_ceil(100)]
    );
    rig.assert_limits_hold();
    let took = rig.now().since(began);
    assert!(
        took < Duration::from_millis(10_250) * u32::try_from(expected).unwrap(),
        "{took:?}"
    );

    let report = &boxes[0];
    assert_eq!(
        (report.listed, report.missed, report.acknowledged),
        (5000, 5000, 5000)
    );
    assert_eq!((report.duplicates, report.held, report.stuck), (0, 0, 0));
    assert_eq!(
        (report.oldest, report.position, &report.error),
        (None, None, &None)
    );
}

#[tokio::test]
async fn several_boxes_are_emptied_in_the_time_of_the_fullest() {
    let rig = HmrcRig::new().await;
    let boxes = [BOX, SECOND_BOX, THIRD_BOX];
    a_week_of_outage(&rig, &boxes, 1500);
    let began = rig.now();
    let (ended, reports) = rig.run(&boxes).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((rig.left(), rig.rows().await.len()), (0, 1500));
    assert_eq!(
        reports
            .iter()
            .map(|report| report.missed)
            .collect::<Vec<_>>(),
        [500; 3]
    );
    rig.assert_limits_hold();
    let [_, lists, _] = rig.counts();
    let one_after_the_other = Duration::from_millis(10_250) * u32::try_from(lists).unwrap();
    assert!(
        rig.now().since(began) < one_after_the_other / 2,
        "their intervals overlap"
    );
}

#[tokio::test]
async fn runs_of_two_minutes_resume_where_the_last_one_stopped() {
    let rig = HmrcRig::new().await;
    let boxes = [BOX, SECOND_BOX, THIRD_BOX];
    a_week_of_outage(&rig, &boxes, 5000);
    let mut runs = 0;
    loop {
        runs += 1;
        assert!(runs < 20);
        let began = rig.now();
        let (ended, reports) = rig
            .run_as(&rig.access(&boxes), &rig.within(Duration::from_secs(110)))
            .await;
        rig.assert_nothing_is_lost().await;
        assert!(rig.now().since(began) <= Duration::from_secs(110));
        match ended {
            RunEnd::Completed => break,
            RunEnd::Deadline => assert!(
                reports.iter().any(|report| report.position.is_some()),
                "the error names the box"
            ),
            other => panic!("{other}"),
        }
        rig.clock.pass(minutes(3));
    }
    assert_eq!((rig.left(), rig.rows().await.len()), (0, 5000));
    rig.assert_limits_hold();
    let [tokens, lists, acknowledgements] = rig.counts();
    assert_eq!(
        (tokens, acknowledgements),
        (runs, 54),
        "3 boxes of 1666 or 1667 with 59 or 60 pending"
    );
    assert!(
        lists <= 57 + runs,
        "no run begins at the beginning: {lists} lists in {runs} runs"
    );
}

#[tokio::test]
async fn an_empty_box_takes_two_lists_and_nothing_else() {
    let rig = HmrcRig::new().await;
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((rig.counts(), boxes[0].listed), ([1, 2, 0], 0));
}

#[tokio::test]
async fn a_pushed_notification_is_a_duplicate_and_is_acknowledged() {
    let rig = HmrcRig::new().await;
    for number in 0..5 {
        rig.add(BOX, minutes(number));
    }
    assert_eq!(rig.run(&[BOX]).await.1[0].missed, 5);
    rig.ppns.with(|boxes| {
        let ids: Vec<String> = boxes
            .notifications()
            .iter()
            .map(|it| it.id.clone())
            .collect();
        ids.iter()
            .for_each(|id| boxes.set_status(id, BoxNotificationStatus::Failed));
    });
    rig.add(BOX, minutes(0));
    let outcome = rig
        .outcome(
            &*rig.clock,
            &rig.source,
            &rig.access(&[BOX]),
            &RunOptions::default(),
        )
        .await;
    let expected = ReconcileStats {
        seen: 6,
        recorded: 1,
        duplicates: 5,
        acknowledged: 6,
        ..ReconcileStats::default()
    };
    assert_eq!(outcome.stats(), expected);
    assert_eq!((rig.left(), rig.rows().await.len()), (0, 6));
}

#[tokio::test]
async fn a_dry_run_looks_at_everything_and_touches_nothing() {
    let rig = HmrcRig::new().await;
    let ids: BTreeSet<String> = (0..250)
        .map(|number| rig.add(BOX, minutes(10 * number)))
        .collect();
    let options = RunOptions {
        dry_run: true,
        ..RunOptions::default()
    };
    let (ended, boxes) = rig.run_as(&rig.access(&[BOX]), &options).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (boxes[0].listed, boxes[0].missed, boxes[0].stuck),
        (250, 0, 0)
    );
    assert_eq!(
        boxes[0]
            .oldest_age(rig.now())
            .map(|age| age.as_secs() / 60 / 10),
        Some(249)
    );
    assert_eq!(
        (rig.left(), rig.rows().await.len(), rig.counts()[2]),
        (250, 0, 0)
    );
    rig.assert_limits_hold();

    rig.run(&[BOX]).await;
    assert_eq!((rig.left(), rig.stored().await), (0, ids));
}

#[tokio::test]
async fn a_run_since_a_time_touches_nothing_earlier() {
    let rig = HmrcRig::new().await;
    for hours in 0..10 {
        rig.add(BOX, minutes(60 * hours));
    }
    let options = RunOptions {
        since: Some(rig.now().minus(minutes(60 * 8))),
        ..RunOptions::default()
    };
    let (ended, _) = rig.run_as(&rig.access(&[BOX]), &options).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((rig.left(), rig.rows().await.len()), (1, 9));
}

#[tokio::test]
async fn a_stopped_run_ends_between_two_steps_and_reports_where() {
    let rig = HmrcRig::new().await;
    a_week_of_outage(&rig, &[BOX], 1000);
    let stop = rig.stop.clone();
    rig.ppns.script(
        sender_simulator::apis::ppns::PpnsEndpoint::Acknowledge,
        [
            sender_simulator::apis::ScriptedStep::Usual,
            sender_simulator::apis::ScriptedStep::then(move |_| stop.cancel()),
        ],
    );
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Stopped), "{ended}");
    assert_eq!(
        boxes[0].position,
        Some(BoxPosition {
            status: pillarbox::reconcile::hmrc::NotificationStatus::Failed,
            from: None
        })
    );
    rig.assert_nothing_is_lost().await;
    assert_eq!(boxes[0].acknowledged, rig.acknowledged().len());
}
