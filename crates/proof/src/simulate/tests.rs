use super::*;

/// Histories that broke a promise in the past, or that the checker judged wrongly.
const REGRESSIONS: &[&str] = &[
    // The budget begins at receipt, and the process was frozen before it stored the row.
    "seed=7223783283761503343 payments=1 boxed=2 twins=0 unpushed=200 span=329272 rate=300 \
     receivers=2 outage=329272 window=60 faults=late,repeated,stale-index,freeze,stream-loss,\
     destination-refuses,destination-slow,destination-panics,answer-lost,request-repeated,\
     api-fails,stranger",
    // Two clocks differ by more than a lease, so each copy may be delivered twice.
    "seed=6625941270800571855 payments=1 boxed=1 twins=0 unpushed=0 span=301 rate=0 receivers=1 \
     outage=0 window=60 faults=clock-jump,stream-delay,request-lost,person",
];

fn assert_kept(plan: &HistoryPlan) {
    leaks::watch();
    let (_, violations) = judge(&run(plan));
    assert_eq!(violations, [], "proof replay {plan}");
}

#[test]
fn a_line_reproduces_its_history_byte_for_byte_on_any_thread() {
    hide_planned_panics();
    for number in 0..40 {
        let plan = HistoryPlan::of(11, number);
        let here = run(&plan);
        let there = thread::spawn({
            let plan = plan.clone();
            move || run(&plan)
        });
        let text = |history: &History| {
            let lines: Vec<String> = history.records.iter().map(ToString::to_string).collect();
            lines.join("\n")
        };
        assert!(
            text(&here) == text(&there.join().unwrap()),
            "proof replay {plan}"
        );
    }
}

#[test]
fn random_histories_have_no_violations() {
    hide_planned_panics();
    for number in 0..200 {
        assert_kept(&HistoryPlan::of(12, number));
    }
}

#[test]
fn earlier_regressions_have_no_violations() {
    hide_planned_panics();
    for line in REGRESSIONS {
        assert_kept(&line.parse().unwrap());
    }
}
