//! Every alarm of the template, caused: the shipped functions are brought into the state that it is
//! for, the metrics that they print are collected, and the alarms of the stack are evaluated over
//! them. That alarm fires and no other, and it clears once the state is mended.

#![allow(
    clippy::float_arithmetic,
    reason = "CloudWatch calculates with floating-point numbers"
)]

mod calm;
mod simulated_stack;
mod states;

use std::{collections::BTreeSet, fs, panic::AssertUnwindSafe};

use futures_util::{FutureExt, StreamExt, stream};
use pillarbox::domain::Timestamp;
use simulated_stack::SimulatedStack;
use states::{STATES, StuckState};
use test_support::{cloudformation::TemplateStack, repository};

/// How many states are caused at a time: most of them wait for a process.
const AT_A_TIME: usize = 8;
/// Minutes in which nothing is wrong, before: longer than any evaluation range but the
/// certificate's.
const CALM_MINUTES: u64 = 30;
/// For this many minutes more the state stays, and no other alarm fires.
const STAYS_MINUTES: u64 = 15;

/// What was seen of a state.
struct CausedAlarm {
    id: &'static str,
    /// Minutes from the cause to the first datapoint that breaches the threshold, to the alarm, and
    /// from mending to its end.
    minutes: [u64; 3],
    severity: String,
    heading: String,
}

fn minutes(from: Timestamp, to: Timestamp) -> u64 {
    to.since(from).as_secs() / 60
}

/// The word after `label` in an alarm's description.
fn labelled(description: &str, label: &str) -> String {
    let (_, rest) = description.split_once(label).unwrap_or_else(|| {
        panic!("{label} is not in: {description}");
    });
    let end = rest.find([' ', '.']).unwrap_or(rest.len());
    rest[..end].to_owned()
}

async fn cause(state: &'static StuckState) -> CausedAlarm {
    let name = format!("{}: {}", state.alarm, state.cause);
    let mut stack = SimulatedStack::new(state.parameters).await;
    stack.post_usual().await;
    stack.pass(CALM_MINUTES).await;
    assert_eq!(stack.firing(), Vec::<&str>::new(), "{name}: before");

    let caused = stack.now;
    (state.happens)(&mut stack).await;
    let (mut first_breach, mut fired) = (None, None);
    for minute in 0..state.fires_within + STAYS_MINUTES {
        if state.repeats_every > 0 && minute > 0 && minute % state.repeats_every == 0 {
            (state.happens)(&mut stack).await;
        }
        stack.pass(1).await;
        let alarm = stack.watch.alarms().find(|alarm| alarm.id == state.alarm);
        let alarm = alarm.unwrap_or_else(|| panic!("{name}: the stack has no such alarm"));
        if first_breach.is_none() && alarm.breaches(&stack.metrics, stack.now) {
            first_breach = Some(stack.now);
        }
        let firing = stack.firing();
        assert!(
            firing.is_empty() || firing == [state.alarm],
            "{name}: {firing:?} after {minute} minutes"
        );
        if fired.is_none() && !firing.is_empty() {
            fired = Some(stack.now);
        }
        if fired.is_some_and(|fired| minutes(fired, stack.now) >= STAYS_MINUTES) {
            break;
        }
    }
    let fired = fired.unwrap_or_else(|| panic!("{name}: no alarm"));

    (state.is_mended)(&mut stack).await;
    let mended = stack.now;
    while !stack.firing().is_empty() {
        assert_eq!(stack.firing(), [state.alarm], "{name}: after mending");
        let since = minutes(mended, stack.now);
        assert!(since < state.clears_within, "{name}: still on");
        stack.pass(1).await;
    }
    let firing = stack.watch.alarms().find(|alarm| alarm.id == state.alarm);
    let alarm = firing.unwrap();
    assert!(alarm.name.starts_with(&stack.name()), "{name}");
    CausedAlarm {
        id: state.alarm,
        minutes: [
            // Missing data has no datapoint.
            minutes(caused, first_breach.unwrap_or(fired)),
            minutes(caused, fired),
            minutes(mended, stack.now),
        ],
        severity: labelled(&alarm.description, "Severity: "),
        heading: labelled(&alarm.description, "runbook.md#"),
    }
}

/// The rows of the table in `docs/alarms.md`.
fn table(caused: &[CausedAlarm]) -> Vec<String> {
    let rows = caused.iter().zip(STATES).map(|(caused, state)| {
        let CausedAlarm {
            id,
            minutes: [metric, alarm, clear],
            severity,
            heading,
        } = caused;
        let given = if state.is_supplied {
            "supplied"
        } else {
            "observed"
        };
        format!(
            "| {} | {given} | {metric} | {alarm} | {clear} | `{id}` | {severity} | \
             [{heading}](runbook.md#{heading}) |",
            state.cause
        )
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stuck_state_raises_its_own_alarm_and_no_other_which_clears_once_it_is_mended() {
    // So that one failure hides no other.
    let each = |state| AssertUnwindSafe(cause(state)).catch_unwind();
    let caused: Vec<_> = stream::iter(STATES)
        .map(each)
        .buffered(AT_A_TIME)
        .collect()
        .await;
    let failed = caused.iter().filter(|caused| caused.is_err()).count();
    assert_eq!(failed, 0, "states without their alarm alone: see above");
    let caused: Vec<CausedAlarm> = caused.into_iter().flatten().collect();
    let table = table(&caused);
    println!("{}", table.join("\n"));
    let document = fs::read_to_string(repository("docs/alarms.md")).unwrap();
    let documented: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("](runbook.md#"))
        .collect();
    assert_eq!(documented, table, "docs/alarms.md");
}

#[test]
fn every_alarm_of_the_template_has_a_state_that_causes_it() {
    let template = TemplateStack::with(&[]);
    let resources = template.template()["Resources"].as_object().unwrap().iter();
    let alarms: BTreeSet<&str> = resources
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
        .map(|(id, _)| id.as_str())
        .collect();
    // `DeploymentFailing` exists only with a gradual deployment, for CodeDeploy. A test of the
    // template evaluates it.
    let caused = STATES.iter().map(|state| state.alarm);
    let caused: BTreeSet<&str> = caused.chain(["DeploymentFailing"]).collect();
    assert_eq!(caused, alarms);
}
