use super::*;

/// Every history whose seed broke a promise once.
const REGRESSIONS: &[&str] = &[];

fn assert_kept(plan: &Plan) {
    let violations = check(&run(plan));
    assert_eq!(violations, [], "proof replay {plan}");
}

#[test]
fn a_line_gives_the_same_history_again_byte_for_byte_on_any_thread() {
    hide_planned_panics();
    for number in 0..40 {
        let plan = Plan::of(11, number);
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
        assert_kept(&Plan::of(12, number));
    }
}

#[test]
fn what_once_broke_a_promise_keeps_it() {
    hide_planned_panics();
    for line in REGRESSIONS {
        assert_kept(&line.parse().unwrap());
    }
}
