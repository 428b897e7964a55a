//! Destinations by event type, as `serve` uses them.

use sender_simulator::{Sender, SystemClock, exchange};

use test_support::{
    endpoint::ConsumerEndpoint,
    process::{PAY_SECRET, ProgramFolder, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_event_type_goes_to_its_own_destination_and_the_rest_to_that_of_the_source() {
    let (refunds, ledger) = (ConsumerEndpoint::opened(), ConsumerEndpoint::opened());
    let https = |name: &str, endpoint: &ConsumerEndpoint| {
        format!(
            "[destinations.{name}]\nkind = \"https\"\nurl = \"{}\"\n\
             secret = \"env:LEDGER_WHSEC\"\n",
            endpoint.url()
        )
    };
    let folder = ProgramFolder::with(&format!(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY_SIGNING_SECRET\"]\n\
         destination = \"ledger\"\n[[routes]]\nsource = \"pay\"\n\
         types = [\"card_payment_refunded\"]\ndestination = \"refunds\"\n{}{}",
        https("refunds", &refunds),
        https("ledger", &ledger)
    ));
    let serve = folder.serve();
    let line = serve.stderr.find("refunds: https").unwrap();
    assert!(line.ends_with("(pay card_payment_refunded)"), "{line}");
    let url = serve.url("pay");
    let events = Sender::GovukPay.events();
    for event in events {
        let body = Sender::GovukPay.body(Some(event), &SystemClock).unwrap();
        let request = Sender::GovukPay.request(&body, PAY_SECRET, &url);
        let profile = Sender::GovukPay.client_profile();
        assert_eq!(exchange(&request, &url, profile).await.unwrap().status, 200);
    }
    until("everything is delivered", || {
        folder.count("delivered") == events.len()
    });
    let is_refund = |endpoint: &ConsumerEndpoint| {
        let received = endpoint.received();
        let refunds = received
            .iter()
            .filter(|event| event.text().contains("_refunded"));
        (refunds.count(), received.len())
    };
    assert_eq!(is_refund(&refunds), (1, 1));
    assert_eq!(is_refund(&ledger), (0, events.len() - 1));
}
