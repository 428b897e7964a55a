use super::{
    bounds::ModelBounds,
    messages::{PAY, TWIN},
    search::{CallFate, ModelAction},
    state::ModelState,
    *,
};

const ONE: ModelBounds = ModelBounds {
    name: "one notification",
    messages: &[PAY],
    workers: 2,
    attempts: 2,
    long_waits: 0,
    replays: 0,
    discards: false,
    puller: false,
    wire: 0,
};

fn found(bounds: ModelBounds, plant: fn(ModelAction, &mut ModelState)) -> Vec<String> {
    let mut model = RowModel::new(bounds, Arc::new(RoutineResults::new()));
    model.plant = plant;
    let checker = model.checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    failures(&checker.spawn_bfs().join())
}

/// The rules that were broken; what was not reached by then does not count.
fn broken(bounds: ModelBounds, plant: fn(ModelAction, &mut ModelState)) -> Vec<String> {
    let failures = found(bounds, plant);
    let broken = failures
        .iter()
        .filter_map(|line| line.strip_prefix("VIOLATION "));
    let rules = broken.filter_map(|rule| rule.split_once(':'));
    rules.map(|(rule, _)| rule.to_owned()).collect()
}

#[test]
fn a_small_search_is_complete_keeps_every_rule_and_reaches_what_it_has_to() {
    assert_eq!(found(ONE, |_, _| {}), [""; 0]);
}

#[test]
fn two_ids_of_one_event_share_it_and_a_conflict_has_a_key_of_its_own() {
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
fn a_claim_that_takes_no_lease_is_found() {
    let planted = |action, state: &mut ModelState| {
        if matches!(action, ModelAction::Attempt(..)) {
            state
                .rows
                .iter_mut()
                .flatten()
                .for_each(|row| row.lease = None);
        }
    };
    assert_eq!(broken(ONE, planted), ["lease"]);
}

#[test]
fn an_answer_before_the_write_is_found() {
    let planted = |action, state: &mut ModelState| {
        if let ModelAction::Post(message, CallFate::Fails) = action {
            state.acknowledged[message] = true;
        }
    };
    assert_eq!(broken(ONE, planted), ["I1"]);
}

#[test]
fn a_row_that_no_sweep_finds_is_found() {
    let planted = |_, state: &mut ModelState| {
        state
            .rows
            .iter_mut()
            .flatten()
            .for_each(|row| row.due_at = None);
    };
    assert_eq!(broken(ONE, planted), ["I2"]);
}

#[test]
fn a_ledger_that_forgets_is_found() {
    let two_ids = ModelBounds {
        messages: &[PAY, TWIN],
        attempts: 1,
        ..ONE
    };
    let planted = |_, state: &mut ModelState| state.ledger = Default::default();
    assert_eq!(broken(two_ids, planted), ["ledger"]);
}
