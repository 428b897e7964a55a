use super::{
    bounds::{BASE, ModelBounds},
    messages::{PAY, TWIN},
    search::{CallOutcome, ModelAction},
    state::ModelState,
    *,
};

fn found(bounds: ModelBounds, plant: fn(ModelAction, &mut ModelState)) -> Vec<String> {
    let mut model = RowModel::new(bounds, Arc::new(RoutineResults::new()));
    model.plant = plant;
    let checker = model.checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    failures(&checker.spawn_bfs().join())
}

/// The broken rules, without the goals that were not reached.
fn broken(bounds: ModelBounds, plant: fn(ModelAction, &mut ModelState)) -> Vec<String> {
    let failures = found(bounds, plant);
    let broken = failures
        .iter()
        .filter_map(|line| line.strip_prefix("VIOLATION "));
    let rules = broken.filter_map(|rule| rule.split_once(':'));
    rules.map(|(rule, _)| rule.to_owned()).collect()
}

#[test]
fn a_small_search_keeps_every_rule_and_reaches_every_goal() {
    assert_eq!(found(BASE, |_, _| {}), [""; 0]);
}

#[test]
fn two_ids_share_one_event_and_a_conflict_has_a_separate_key() {
    let messages = messages::ModelMessages::new();
    let event = |message: usize| {
        let content = messages.contents[message];
        let row = messages
            .rows
            .iter()
            .position(|row| row.content_digest == content);
        messages.row_events[row.unwrap()]
    };
    assert_eq!(event(PAY), event(TWIN));
    assert!(event(PAY).is_some());
    assert_eq!(messages.keys.len(), state::SLOTS);
    assert!(messages.events.len() <= state::EVENTS);
}

#[test]
fn a_claim_without_a_lease_is_found() {
    let planted = |action, state: &mut ModelState| {
        if matches!(action, ModelAction::Attempt(..)) {
            state
                .rows
                .iter_mut()
                .flatten()
                .for_each(|row| row.lease = None);
        }
    };
    assert_eq!(broken(BASE, planted), ["lease"]);
}

#[test]
fn an_answer_before_the_write_is_found() {
    let planted = |action, state: &mut ModelState| {
        if let ModelAction::Post(message, CallOutcome::Fails) = action {
            state.acknowledged[message] = true;
        }
    };
    assert_eq!(broken(BASE, planted), ["I1"]);
}

#[test]
fn a_row_that_is_never_due_is_found() {
    let planted = |_, state: &mut ModelState| {
        state
            .rows
            .iter_mut()
            .flatten()
            .for_each(|row| row.due_at = None);
    };
    assert_eq!(broken(BASE, planted), ["I2"]);
}

#[test]
fn a_ledger_that_loses_its_entries_is_found() {
    let two_ids = ModelBounds {
        messages: &[PAY, TWIN],
        attempts: 1,
        ..BASE
    };
    let planted = |_, state: &mut ModelState| state.ledger = Default::default();
    assert_eq!(broken(two_ids, planted), ["ledger"]);
}
