//! Runs against receivers with scripted responses.

mod schedule;
mod faults;
mod order;
mod clients;

use std::{collections::BTreeMap, future::pending};

use super::*;
use crate::{Sender, Timestamp, test_receiver::TestReceiver};

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// A plan on a clock so fast that days pass in milliseconds.
fn plan(sender: Sender, receiver: &TestReceiver, count: u64) -> RunPlan {
    let now = Timestamp::parse("2026-11-25T08:00:00Z").unwrap();
    let mut plan = RunPlan::new(sender, receiver.url.clone(), SECRET.to_owned(), 7, now);
    (plan.count, plan.time_scale, plan.keep_sent) = (count, 10_000_000, true);
    plan
}

async fn summary_of(plan: &RunPlan) -> RunSummary {
    run(plan, &|_| {}, pending()).await.unwrap()
}

fn outcomes(summary: &RunSummary) -> BTreeMap<String, u64> {
    summary
        .settled
        .iter()
        .map(|((kind, outcome), count)| (format!("{kind} {outcome}"), *count))
        .collect()
}

fn names(summary: &RunSummary) -> Vec<&'static str> {
    summary.faults_by_name.keys().copied().collect()
}
