//! `examples/own_destination.rs`, run as its reader would run it.

use rustix::process::Signal;
use serde_json::Value;

use test_support::{
    binary,
    process::{BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder, RunningServe, until},
};

#[test]
fn an_event_reaches_a_custom_destination() {
    let folder = ProgramFolder::empty();
    let mut serve = RunningServe::spawn(
        &mut folder.command_of(binary("own-destination-under-test"), FREE_PORTS),
    );
    serve.await_ready();
    let sent = folder.run(&[
        "send",
        "pay",
        "--event",
        "captured",
        "--to",
        serve.url("pay").as_str(),
    ]);
    assert_eq!(sent.code, 0, "{sent:?}");
    until("it is delivered", || folder.count("delivered") == 1);

    let key = folder.list(&[])[0]["key"].as_str().unwrap().to_owned();
    let event: Value = serde_json::from_str(&folder.read(&format!("events/{key}.json"))).unwrap();
    assert_eq!(
        (&event["id"], &event["type"]),
        (&key.into(), &"uk.gov.payments.card_payment_captured".into())
    );
    assert_eq!(event["data"]["amount"], 5000);
    assert_eq!(serve.stdout.len(), 0, "it goes nowhere else");
    assert!(serve.stop(Signal::TERM).success());
}

#[test]
fn a_configuration_that_names_destinations_is_refused_by_it() {
    let ledger = "[destination]\nkind = \"https\"\nurl = \"https://ledger.example.gov.uk/\"\n\
                  secret = \"env:LEDGER_WHSEC\"\n";
    let folder = ProgramFolder::with(&format!("{BOTH_SOURCES}{ledger}"));
    let ran =
        CommandResult::of(&mut folder.command_of(binary("own-destination-under-test"), FREE_PORTS));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("pillarbox.toml names destinations"),
        "{ran:?}"
    );
}
