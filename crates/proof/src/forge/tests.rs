use super::*;

#[test]
fn a_changed_request_is_stored_only_if_the_second_implementation_proves_it() {
    let totals = forge(3_000, 7, 2);
    assert_eq!(totals.disagreements, []);
    assert_eq!(
        (totals.forgeries_accepted, totals.calls_for_forgeries),
        (0, 0)
    );
    assert_eq!(totals.kinds.len(), MUTATIONS.len() + 1);
    let sum = |of: fn(&KindCounts) -> u64| totals.kinds.values().map(of).sum::<u64>();
    assert!(sum(|counts| counts.stored) > 100, "some stay genuine");
    assert!(sum(|counts| counts.challenges) > 20, "some are challenges");
    assert!(sum(|counts| counts.refused) > 1_000, "most are forgeries");
    assert_eq!(totals.ways.len(), 4);
}

#[test]
fn a_case_depends_only_on_its_seed_and_number() {
    for number in 0..500 {
        let [first, again] = [3, 3].map(|seed| ForgedCase::of(seed, number));
        assert_eq!(first.request, again.request);
        assert!(first.entry_point == again.entry_point);
    }
}

#[test]
fn every_hostile_destination_is_refused_and_every_control_is_accepted() {
    let table = destinations::table();
    assert!(table.iter().filter(|(_, must_pass)| *must_pass).count() > 100);
    assert!(table.iter().filter(|(_, must_pass)| !must_pass).count() > 1_500);
    assert!(destinations::check());
}
