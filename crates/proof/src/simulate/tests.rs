use super::*;

/// Histories that the checker once judged wrongly, or that broke a promise.
const REGRESSIONS: &[&str] = &[
    // The budget counts from the receipt, and the process stood still before it stored.
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
fn a_line_gives_the_same_history_again_byte_for_byte_on_any_thread() {
    hide_planned_panics();
    for number in 0..40 {
        let plan = HistoryPlan::of(11, number);
        let here = run(&plan);
        let there = thread::spawn({
            let plan = plan.clone();
            move || run(&plan)
        });
        let text = |history: &History| {
            let lines: Vec<String> = history.moments.iter().map(ToString::to_string).collect();
            lines.join("\n")
        };
        assert!(
            text(&here) == text(&there.join().unwrap()),
            "proof replay {plan}"
        );
    }
}

#[test]
fn some_hundred_histories_keep_every_promise() {
    hide_planned_panics();
    for number in 0..200 {
        assert_kept(&HistoryPlan::of(12, number));
    }
}

#[test]
fn what_once_broke_a_promise_keeps_it() {
    hide_planned_panics();
    for line in REGRESSIONS {
        assert_kept(&line.parse().unwrap());
    }
}
