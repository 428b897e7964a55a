//! An inbox that never answers, or has a bug, and the little time a function may have.

use std::time::Duration;

use pillarbox::{domain::Timestamp, lambda::Role};
use tempfile::TempDir;
use tokio::time::Instant;

use test_support::{
    fronts::LambdaFront,
    function::{DeployedFunction, answer_of, post, unsigned},
    message::{both, hmrc},
    server::{NOW, RefusingDestination},
    silent::SilentInbox,
};

fn silent(role: Role) -> DeployedFunction<RefusingDestination, SilentInbox> {
    DeployedFunction::over(
        SilentInbox,
        role,
        RefusingDestination,
        TempDir::new().unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_stalled_inbox_is_answered_for_by_the_fronts_clock_and_the_functions() {
    let ms = |ms: i64| Timestamp::from_millis(NOW.as_millis() + ms);
    let deployed = silent(Role::Receive);
    for (front, source) in LambdaFront::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
    {
        // When the front had it, and when the function is stopped, from now; and when the answer is
        // out at the latest.
        for (invoked_at, stopped, by) in [
            (0, 5_000, 2_500),
            (-700, 5_000, 1_800),
            (-2_499, 5_000, 1),
            (-60_000, 5_000, 2_500), // another clock's
            (60_000, 5_000, 2_500),
            (0, 1_000, 1_000),
            (0, 300, 300),
            (0, 1, 1),
            (0, 0, 1),
            (0, -1_000, 1),
        ] {
            let event = front.invocation(&post(&source, source.message("n1", NOW)), ms(invoked_at));
            let began = Instant::now();
            let answer = answer_of(&deployed.invoke_until(&event, ms(stopped)).await.unwrap());
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (503, r#"{"error":"inbox"}"#),
                "{front:?} {invoked_at} {stopped}"
            );
            let took = began.elapsed();
            assert!(
                took <= Duration::from_millis(by),
                "{front:?} {invoked_at} {stopped}: {took:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_without_content_of_the_event() {
    let deployed = silent(Role::Receive);
    let source = hmrc();
    for front in LambdaFront::ALL {
        let event = front.invocation(&post(&source, source.message("bug", NOW)), NOW);
        let failure = deployed.invoke(&event).await.unwrap_err();
        assert_eq!(failure.name(), "Panic");
        assert_eq!(
            failure.to_string(),
            "the program panicked: the log has the place"
        );
        assert_eq!(
            deployed.send(front, &unsigned(&source, "x")).await.status,
            401,
            "the next one is answered"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_waits_for_nothing() {
    let deployed = silent(Role::Receive);
    for (front, source) in LambdaFront::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
    {
        let began = Instant::now();
        assert_eq!(
            deployed.send(front, &unsigned(&source, "x")).await.status,
            401
        );
        assert_eq!(began.elapsed(), Duration::ZERO, "not one call to the inbox");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_inbox_holds_no_batch_and_no_sweep_beyond_the_end() {
    let deployed = silent(Role::All);
    let until = NOW.plus(Duration::from_secs(60));
    let began = Instant::now();
    let batch = test_support::fronts::batch(&[("hmrc:a", "recorded"), ("hmrc:b", "recorded")]);
    let reply = deployed.invoke_until(&batch, until).await.unwrap();
    let first = test_support::fronts::sequence(0);
    assert_eq!(
        reply,
        serde_json::json!({"batchItemFailures": [{"itemIdentifier": first}]})
    );
    deployed
        .invoke_until(&serde_json::json!({"role": "sweep"}), until)
        .await
        .unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(2 * 59));
}
